import { createHash, randomBytes } from 'node:crypto';

import { isHttpsOrLoopback, newId, operations, PosternError } from '@postern/contracts';
import {
  changeTransmitterScope,
  createTransmitter,
  disableTransmitter,
  transmitterEvolver,
  type Transmitter,
} from '@postern/domain';
import { loadKnownTransmitters, type KnownTransmitter } from '@postern/provider-catalog';
import type { Command } from 'commander';

import { exitCodes } from '../output/exit-code.ts';
import { table } from '../output/printer.ts';
import type { RunCommand, SessionRun } from '../run-command.ts';
import type { Session } from '../session/session.ts';
import { decideAdmin, listAdmin } from './decide.ts';
import { factLines, gather, text } from './shown.ts';
import { scopeOf, withScope } from './spoken-for.ts';

/** `postern transmitters …`: whose security events are believed, and about which connections. */
export function transmitterCommands(transmitters: Command, run: RunCommand): void {
  const known = [...loadKnownTransmitters().keys()].join(', ');
  withScope(transmitters.command('create'))
    .description('a transmitter of security events; enter the push URL (and the token) it prints there')
    .requiredOption('--name <name>')
    .requiredOption('--audience <audience>', 'what stands in aud, such as our client id (may be repeated)', gather, [])
    .option('--known <id>', `issuer and keys of a transmitter that many have: ${known}`)
    .option('--issuer <issuer>', 'what stands in iss, letter for letter')
    .option('--jwks-uri <url>', 'where its public keys are')
    .option('--untyped', 'takes tokens that do not call themselves secevent+jwt')
    .option('--bearer', 'makes a bearer token that it must send with each push')
    .option('--poll <url>', 'its poll endpoint, where it does not push')
    .option('--poll-token-of <registration>', 'the bearer token for polling is the webhook secret of this registration')
    .action(run.withSession(create));
  withScope(transmitters.command('scope <transmitter>'))
    .description('says anew about which registrations it may speak, and about no others')
    .action(
      run.withSession(async ({ session, tenantId, args: [id = ''], options, printer }) => {
        const speaksFor = await scopeOf(session, tenantId, options['registration'] as string[]);
        const state = await decideAdmin(session, { evolver: transmitterEvolver, tenantId, id }, (before) =>
          changeTransmitterScope({ speaksFor }, before),
        );
        const shown = shownOf(session, state);
        printer.result(shown, () => factLines(shown));
      }),
    );
  transmitters.command('list').action(
    run.withSession(async ({ session, tenantId, printer }) => {
      const found = await listAdmin(session, { evolver: transmitterEvolver, tenantId });
      printer.result(
        found.map((state) => shownOf(session, state)),
        () =>
          table([
            ['TRANSMITTER', 'NAME', 'ISSUER', 'REGISTRATIONS', 'DISABLED'],
            ...found.map(({ transmitterId, displayName, issuer, speaksFor, disabled }) => [
              transmitterId,
              displayName,
              issuer,
              speaksFor.map(({ registrationId }) => registrationId).join(' '),
              String(disabled),
            ]),
          ]),
      );
    }),
  );
  transmitters.command('show <transmitter>').action(
    run.withSession(async ({ session, tenantId, args: [id = ''], printer }) => {
      const { state, revision } = await session.repository(transmitterEvolver).load({ tenantId, id });
      if (revision === 0) throw new PosternError('transmitter.not_found', `${id} is not there.`);
      const shown = shownOf(session, state);
      printer.result(shown, () => factLines(shown));
    }),
  );
  transmitters
    .command('verify <transmitter>')
    .description('has it send a verification, and waits until that is taken in')
    .option('--endpoint <url>', 'its verification endpoint, where its metadata are not at its issuer')
    .option('--stream-id <id>', 'as it calls the stream, where it wants that')
    .option('--token-of <registration>', 'the bearer token is the webhook secret of this registration')
    .action(run.withSession(verify));
  transmitters.command('disable <transmitter>').action(
    run.withSession(async ({ session, tenantId, args: [id = ''], printer }) => {
      const state = await decideAdmin(session, { evolver: transmitterEvolver, tenantId, id }, (before) =>
        disableTransmitter({ reason: null }, before),
      );
      printer.result(shownOf(session, state), () => [`${id} is disabled`]);
    }),
  );
}

/** The one place where the bearer token is printed: it was asked for, and it is not kept. */
async function create({ session, tenantId, options, printer }: SessionRun): Promise<void> {
  const { issuer, jwksUri, typeRequired } = identityOf(options);
  const token = options['bearer'] === true ? randomBytes(32).toString('base64url') : undefined;
  const delivery = await deliveryOf(session, tenantId, { options, token });
  const transmitterId = newId('transmitter');
  const speaksFor = await scopeOf(session, tenantId, options['registration'] as string[]);
  const state = await decideAdmin(session, { evolver: transmitterEvolver, tenantId, id: transmitterId }, (before) =>
    createTransmitter(
      {
        displayName: text(options, 'name'),
        issuer,
        audiences: options['audience'] as string[],
        jwksUri,
        typeRequired,
        delivery,
        speaksFor,
      },
      before,
    ),
  );
  const shown = { ...shownOf(session, state), ...(token !== undefined && { bearer_token: token }) };
  printer.result(shown, () => [
    ...factLines(shown),
    ...(token === undefined ? [] : ['', 'The token is shown once; only its hash is kept.']),
  ]);
}

/** Whatever comes in time: that nothing came is the answer, and no error. */
async function verify({ session, tenantId, args: [id = ''], options, printer }: SessionRun): Promise<void> {
  const [endpoint, streamId, tokenOf] = ['endpoint', 'streamId', 'tokenOf'].map(
    (name) => options[name] as string | undefined,
  );
  const [bearerOf] = tokenOf === undefined ? [] : await scopeOf(session, tenantId, [tokenOf]);
  const request = {
    transmitter_id: id,
    ...(endpoint !== undefined && { endpoint }),
    ...(streamId !== undefined && { stream_id: streamId }),
    ...(bearerOf !== undefined && {
      bearer_of: { tenant_id: bearerOf.tenantId, registration_id: bearerOf.registrationId },
    }),
  };
  const reply = await session.call(operations.verifyTransmitter, tenantId, request);
  printer.result(reply, () => [
    reply.verified
      ? `${id} is verified: what it sends arrives (${reply.took_ms} ms)`
      : `${id} was asked, and nothing came of it in ${reply.took_ms} ms`,
  ]);
  if (!reply.verified) process.exitCode = exitCodes.notSo;
}

function identityOf(options: SessionRun['options']): KnownTransmitter {
  const known = options['known'] === undefined ? undefined : loadKnownTransmitters().get(text(options, 'known'));
  if (options['known'] !== undefined && known === undefined) {
    throw new PosternError('request.malformed', 'There is no such known transmitter; give --issuer and --jwks-uri.');
  }
  const issuer = (options['issuer'] as string | undefined) ?? known?.issuer;
  const jwksUri = (options['jwksUri'] as string | undefined) ?? known?.jwksUri;
  if (issuer === undefined || jwksUri === undefined) {
    throw new PosternError('request.malformed', 'Give --issuer and --jwks-uri, or a --known transmitter.');
  }
  if (!isHttpsOrLoopback(jwksUri)) throw new PosternError('request.malformed', '--jwks-uri must be an https URL.');
  const typeRequired = options['untyped'] === true ? false : (known?.typeRequired ?? true);
  return { issuer, jwksUri, typeRequired };
}

async function deliveryOf(
  session: Session,
  tenantId: string,
  { options, token }: { options: SessionRun['options']; token: string | undefined },
): Promise<Transmitter['delivery']> {
  const [endpoint, tokenOf] = [options['poll'], options['pollTokenOf']].map((value) => value as string | undefined);
  if (endpoint === undefined) {
    if (tokenOf !== undefined) throw new PosternError('request.malformed', '--poll-token-of goes with --poll.');
    return {
      method: 'push',
      bearerHash: token === undefined ? null : createHash('sha256').update(token).digest('hex'),
    };
  }
  if (token !== undefined) throw new PosternError('request.malformed', '--bearer is for pushing, not for --poll.');
  if (!isHttpsOrLoopback(endpoint)) throw new PosternError('request.malformed', '--poll must be an https URL.');
  const [bearerOf = null] = tokenOf === undefined ? [] : await scopeOf(session, tenantId, [tokenOf]);
  return { method: 'poll', endpoint, bearerOf };
}

function shownOf(session: Session, { delivery, ...rest }: Transmitter): Record<string, unknown> {
  if (delivery.method === 'poll') return { ...rest, delivery };
  const pushUrl = `${session.publicUrl}/signals/ssf/${rest.transmitterId}`;
  return { ...rest, delivery: { method: 'push', hasBearerToken: delivery.bearerHash !== null }, push_url: pushUrl };
}
