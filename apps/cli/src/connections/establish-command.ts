import { derivedGrants, operations, parseRequest, PosternError } from '@postern/contracts';
import { zero } from '@postern/crypto';
import type { Command } from 'commander';

import { sealedTo } from '../admin/sealed-to-vault.ts';
import type { Session } from '../session/session.ts';
import { table } from '../output/printer.ts';
import type { RunCommand } from '../run-command.ts';
import { staticSecretIn } from './static-secret.ts';

const collect = (value: string, before: readonly string[] = []): string[] => [...before, value];

/** `postern connections establish`: a connection that needs no browser. */
export function establishCommand(connections: Command, run: RunCommand): void {
  connections
    .command('establish')
    .description('makes a connection that needs no browser, or makes one anew in place')
    .requiredOption(
      '--grant <type>',
      'how it is had: client_credentials, jwt_bearer, installation, token_exchange, identity_assertion, static',
    )
    .option('--platform <id>', 'whose connection it becomes; not needed with --connection')
    .option('--provider <id>', 'at which provider; or the registration')
    .option('--registration <id>', 'of which client registration')
    .option('--end-user <id>', "for which of the platform's users; without it the platform's own")
    .option('--scope <scope>', 'once for each; none where the provider decides', collect)
    .option('--parameter <name=value>', 'said to the provider beside the standard’s own; no secret', collect)
    .option('--secret-file <file>', 'static: a file with the API key, or with JSON of its parts; - is standard input')
    .option(
      '--rotate-after <days>',
      'static: when its owner is reminded to replace it; else as the provider’s file says',
      Number,
    )
    .option(
      '--subject <name>',
      'jwt_bearer: for whom, as the provider names its users; token_exchange: the connection whose token is exchanged; identity_assertion: the one at the identity provider',
    )
    .option('--actor <connection>', 'token_exchange: who acts')
    .option('--audience <name>', 'token_exchange: the service that the token is for, as its server knows it', collect)
    .option(
      '--resource <url>',
      'token_exchange, identity_assertion: the service that the token is for, by its URL',
      collect,
    )
    .option('--installation <number>', 'installation: of the app')
    .option('--repository <name>', 'installation: narrowed to it, once for each', collect)
    .option('--permission <name=level>', 'installation: narrowed to it (read, write, admin), once for each', collect)
    .option('--connection <id>', 'one that exists, made anew in place')
    .option('--key <text>', 'the same again answers with the same connection')
    .action(
      run.withSession(async ({ session, tenantId, printer, options }) => {
        const request = parseRequest(operations.establish.request, {
          grant: grantOf(options, { session, tenantId }),
          platform_id: options['platform'],
          provider: options['provider'],
          registration_id: options['registration'],
          end_user: options['endUser'],
          scopes: options['scope'],
          connection_id: options['connection'],
          idempotency_key: options['key'],
        });
        const reply = await session.call(operations.establish, tenantId, request);
        printer.result(reply, () =>
          table([
            ['CONNECTION', 'HEALTH', 'SCOPES', 'EXPIRES'],
            [
              reply.connection_id,
              reply.freshness.health,
              reply.scope.join(' ') || '-',
              reply.freshness.credential_expires_at ?? '-',
            ],
          ]),
        );
      }),
    );
}

function grantOf(
  options: Readonly<Record<string, unknown>>,
  { session, tenantId }: { readonly session: Session; readonly tenantId: string },
): Record<string, unknown> {
  const type = options['grant'];
  const file = options['secretFile'];
  if ((typeof file === 'string') !== (type === 'static')) {
    throw new PosternError('request.malformed', '--secret-file goes with --grant static, which needs it.');
  }
  const given = said({
    type,
    parameters: pairsOf(options, 'parameter'),
    ...exchangeOf(options),
    rotate_after_s: options['rotateAfter'] === undefined ? undefined : Number(options['rotateAfter']) * 86_400,
    installation_id: options['installation'],
    repositories: options['repository'],
    permissions: pairsOf(options, 'permission'),
  });
  if (typeof file !== 'string') return given;
  const plaintext = Buffer.from(JSON.stringify(staticSecretIn(file)), 'utf8');
  try {
    const protectedHeader = { cty: 'application/json', ten: tenantId };
    return {
      ...given,
      sealed_secret: sealedTo('authorization', session, { protectedHeader, plaintext }),
    };
  } finally {
    zero(plaintext);
  }
}

/** Each kind of grant refuses what is not its own. */
function exchangeOf({ grant, subject, actor, audience, resource }: Readonly<Record<string, unknown>>) {
  const isDerived = derivedGrants.some((one) => one === grant);
  const named = isDerived ? { subject_connection_id: subject } : { subject };
  return { ...named, actor_connection_id: actor, audience, resource };
}

function said(members: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

function pairsOf(options: Readonly<Record<string, unknown>>, name: string): Record<string, string> | undefined {
  const pairs = options[name] as readonly string[] | undefined;
  if (pairs === undefined) return undefined;
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new PosternError('request.malformed', `--${name} must be name=value: ${pair.slice(0, 64)}`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}
