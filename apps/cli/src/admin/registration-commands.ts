import { readFileSync } from 'node:fs';

import {
  assertId,
  JwsAlgorithm,
  PosternError,
  newId,
  RegistrationSecretKind,
  ResourceUri,
  TokenEndpointAuthMethod,
} from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { disableRegistration, registrationEvolver } from '@postern/domain';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import type { Command } from 'commander';
import type { z } from 'zod';

import type { PlainRun, RunCommand, SessionRun } from '../run-command.ts';
import { decideAdmin } from './decide.ts';
import {
  createClientRegistration,
  jwksOf,
  redirectUriOf,
  registerResource,
  retireSecret,
  storeCertificate,
  storePrivateKey,
  storeSecret,
} from './registrations.ts';
import { pkceWarning } from '../providers/pkce.ts';
import { factLines, gather, list, overlapMsOf, text } from './shown.ts';

type Options = PlainRun['options'];

/** `postern registrations …`: our clients at providers, and what they authenticate with. */
export function registrationCommands(registrations: Command, run: RunCommand): void {
  registrations
    .command('reserve')
    .description('an id and its redirect URI, for providers that want the URI before they give a client id')
    .action(
      run.withSession(async ({ session, printer }) => {
        const id = newId('registration');
        const shown = { registration_id: id, redirect_uri: redirectUriOf(session, id) };
        printer.result(shown, () => factLines(shown));
      }),
    );
  withSecretOptions(registrations.command('create'))
    .description('our client at a provider; enter the redirect URI (and the keys) it prints at the provider')
    .requiredOption('--provider <id>', 'see: postern providers list')
    .requiredOption('--name <name>', 'what end users read')
    .option('--client-id <id>', 'needed unless the provider is mcp, or its credentials are made by hand')
    .option('--id <registration>', 'an id from: postern registrations reserve')
    .option('--auth-method <method>', `${TokenEndpointAuthMethod.options.join(', ')}; the provider’s first when absent`)
    .option('--audience <url>', 'for whom assertions are; what the provider’s file says when absent')
    .option('--dpop', 'its tokens are bound to a key of each connection (RFC 9449); they cannot be leased')
    .option('--bind-certificate', 'its tokens are bound to its client certificate (RFC 8705); they cannot be leased')
    .option('--resource <uri>', 'what its tokens are for, and for nothing else (RFC 8707)')
    .option('--sign-requests', 'its authorization requests are signed by a key in the vault (RFC 9101)')
    .option('--parameter <name=value>', 'a parameter of the provider, such as issuer (may be repeated)', gather, [])
    .option('--scope <scope>', 'a scope it may ask for (may be repeated)', gather, [])
    .action(run.withSession(create));
  withSecretOptions(registrations.command('rotate <registration>'))
    .description('a new secret or key, in use at once; the one before it stays usable for the overlap')
    .option('--overlap <seconds>', 'how long both are usable; 0 when the old one is known to others')
    .action(run.withSession(rotate));
  registrations
    .command('retire <registration>')
    .description('ends an older secret or key before its overlap is over, and deletes it')
    .requiredOption('--kind <kind>', RegistrationSecretKind.options.join(', '))
    .requiredOption('--secret-version <version>', 'see: postern registrations show', Number)
    .action(
      run.withSession(async ({ session, tenantId, args: [registrationId = ''], options, printer }) => {
        const kind = oneOf(RegistrationSecretKind, options, { name: 'kind', flag: '--kind' });
        const secretVersion = Number(options['secretVersion']);
        await retireSecret(session, { tenantId, registrationId, kind, secretVersion });
        printer.result({ kind, secret_version: secretVersion }, () => [
          `${kind} ${secretVersion} is not used any more`,
        ]);
      }),
    );
  registrations.command('list').action(run.withSession((given) => list(given, registrationEvolver)));
  registrations.command('show <registration>').action(run.withSession(show));
  registrations.command('disable <registration>').action(
    run.withSession(async ({ session, tenantId, args: [id = ''], printer }) => {
      const state = await decideAdmin(session, { evolver: registrationEvolver, tenantId, id }, (before) =>
        disableRegistration({ reason: null }, before),
      );
      printer.result(state, () => [`${id} is disabled`]);
    }),
  );
}

function withSecretOptions(command: Command): Command {
  return command
    .option('--client-secret-file <file>', 'a file with the client secret, or - for standard input')
    .option('--certificate-file <file>', 'a client certificate with its chain and its private key, in PEM')
    .option('--webhook-secret-file <file>', 'a file with the secret that the provider signs webhooks with')
    .option(
      '--private-key-file <file>',
      'a private key that the provider knows already: PEM, JWK, or the file of a service account',
    )
    .option('--make-private-key [algorithm]', `the vault makes one: ${JwsAlgorithm.options.join(', ')} (ES256)`);
}

async function create(run: SessionRun): Promise<void> {
  const { session, tenantId, options, printer } = run;
  if (text(options, 'provider') === 'mcp') return await createForResource(run);
  const method = authMethodOf(options);
  const given = secretsOf(options);
  requireCertificate(method, { given, options });
  const created = await createClientRegistration(session, {
    tenantId,
    registrationId: options['id'] === undefined ? undefined : assertId('registration', text(options, 'id')),
    providerId: text(options, 'provider'),
    displayName: text(options, 'name'),
    clientId: clientIdOf(options),
    tokenEndpointAuthMethod: method,
    parameters: parametersOf(options['parameter'] as string[]),
    scopes: options['scope'] as string[],
    assertionAudience: options['audience'] === undefined ? undefined : text(options, 'audience'),
    signs: given.key !== undefined,
    ...(options['dpop'] === true && { dpopBoundAccessTokens: true }),
    ...(options['bindCertificate'] === true && { tlsClientCertificateBoundAccessTokens: true }),
    ...(options['resource'] !== undefined && { resource: resourceOf(options) }),
    ...(options['signRequests'] === true && { requireSignedRequestObject: true }),
  });
  const { registrationId, redirectUri } = created;
  const signs = method === 'private_key_jwt' || options['signRequests'] === true;
  const key = given.key ?? (signs ? 'ES256' : undefined);
  const stored = await store({ session, tenantId }, { registrationId, given: { ...given, key } });
  const warning = pkceWarning(providerOf(loadCatalog(), text(options, 'provider')));
  const made = { registration_id: registrationId, redirect_uri: redirectUri, ...stored };
  const shown = { ...made, ...(warning !== null && { warning }) };
  printer.result(shown, () => factLines(shown));
}

/** An MCP server says itself what else there is to know. */
async function createForResource({ session, tenantId, options, printer }: SessionRun): Promise<void> {
  const given = secretsOf(options);
  const { resource, issuer, ...others } = parametersOf(options['parameter'] as string[]);
  const [unknown] = Object.keys(others);
  if (resource === undefined || unknown !== undefined) {
    const said = unknown === undefined ? 'is missing' : `is needed, and ${unknown} is no parameter of it`;
    throw new PosternError('request.malformed', `The URL of the MCP server (--parameter resource=URL) ${said}.`);
  }
  const { registrationId, redirectUri, ...met } = await registerResource(session, {
    tenantId,
    registrationId: options['id'] === undefined ? undefined : assertId('registration', text(options, 'id')),
    displayName: text(options, 'name'),
    resource,
    issuer,
    clientId: options['clientId'] === undefined ? undefined : text(options, 'clientId'),
    tokenEndpointAuthMethod: options['authMethod'] === undefined ? undefined : authMethodOf(options),
    scopes: options['scope'] as string[],
  });
  const key = given.key ?? (options['authMethod'] === 'private_key_jwt' ? 'ES256' : undefined);
  const stored = await store({ session, tenantId }, { registrationId, given: { ...given, key } });
  const { issuer: found, clientId: client_id, secretVersion: secret_version } = met;
  const made = { registration_id: registrationId, redirect_uri: redirectUri, issuer: found, client_id };
  const shown = { ...made, ...(secret_version !== undefined && { secret_version }), ...stored };
  printer.result(shown, () => factLines(shown));
}

async function rotate({ session, tenantId, args: [registrationId = ''], options, printer }: SessionRun): Promise<void> {
  const given = secretsOf(options);
  if (Object.values(given).every((one) => one === undefined)) {
    throw new PosternError('request.malformed', 'Name what is new: a secret, or a private key.');
  }
  const overlapMs = overlapMsOf(options);
  const shown = await store({ session, tenantId }, { registrationId, given, overlapMs });
  printer.result(shown, () => factLines(shown));
}

async function show({ session, tenantId, args: [id = ''], printer }: SessionRun): Promise<void> {
  const { state, revision } = await session.repository(registrationEvolver).load({ tenantId, id });
  if (revision === 0) throw new PosternError('registration.not_found', `${id} is not there.`);
  const shown = { ...state, redirectUri: redirectUriOf(session, id), jwks: jwksOf(state, Date.now()) };
  printer.result(shown, () => factLines(shown));
}

interface GivenSecrets {
  readonly clientSecret: Secret | undefined;
  readonly certificate: Secret | undefined;
  readonly webhookSecret: Secret | undefined;
  readonly key: Secret | z.infer<typeof JwsAlgorithm> | undefined;
}

/** Stores what was given; tells the versions, and the keys that the provider must be shown. */
async function store(
  { session, tenantId }: Pick<SessionRun, 'session' | 'tenantId'>,
  { registrationId, given, ...overlap }: { registrationId: string; given: GivenSecrets; overlapMs?: number },
): Promise<Record<string, unknown>> {
  const { clientSecret, certificate, webhookSecret, key } = given;
  const rotation = { tenantId, registrationId, ...overlap };
  const shown: Record<string, unknown> = {};
  if (clientSecret !== undefined) {
    shown['secret_version'] = await storeSecret(session, { ...rotation, kind: 'client_secret', secret: clientSecret });
  }
  if (certificate !== undefined) {
    const stored = await storeCertificate(session, { ...rotation, certificate });
    const { x5tS256, notAfterMs } = stored.certificate;
    shown['certificate_version'] = stored.secretVersion;
    shown['certificate'] = { x5t_s256: x5tS256, not_after: new Date(notAfterMs).toISOString() };
  }
  if (webhookSecret !== undefined) {
    const version = await storeSecret(session, { ...rotation, kind: 'webhook_secret', secret: webhookSecret });
    shown['webhook_secret_version'] = version;
  }
  if (key !== undefined) {
    shown['private_key_version'] = (await storePrivateKey(session, { ...rotation, key })).secretVersion;
    const { state } = await session.repository(registrationEvolver).load({ tenantId, id: registrationId });
    shown['jwks'] = jwksOf(state, Date.now());
  }
  return shown;
}

/** Without it nothing could be had; and one of which no use would be made is not asked for its key. */
function requireCertificate(
  method: z.infer<typeof TokenEndpointAuthMethod>,
  { given, options }: { readonly given: GivenSecrets; readonly options: Options },
): void {
  const isUsed = isByCertificate(method) || options['bindCertificate'] === true;
  if (isUsed === (given.certificate !== undefined)) return;
  throw new PosternError(
    'request.malformed',
    isUsed
      ? 'This client needs its certificate with chain and private key: give --certificate-file.'
      : 'A certificate is for --auth-method tls_client_auth or self_signed_tls_client_auth, or for --bind-certificate.',
  );
}

const isByCertificate = (method: string) => method === 'tls_client_auth' || method === 'self_signed_tls_client_auth';

/** Where credentials are made by hand nobody is registered: the provider's own id stands there. */
function clientIdOf(options: Options): string {
  const { id, credential } = providerOf(loadCatalog(), text(options, 'provider'));
  return credential === null || options['clientId'] !== undefined ? text(options, 'clientId') : id;
}

/** `--resource`. @throws {PosternError} `request.malformed` */
function resourceOf(options: Options): string {
  const parsed = ResourceUri.safeParse(options['resource']);
  if (parsed.success) return parsed.data;
  throw new PosternError('request.malformed', '--resource must be an absolute URI without fragment (RFC 8707 §2).');
}

/** Said, or what the provider's file names first. */
function authMethodOf(options: Options): z.infer<typeof TokenEndpointAuthMethod> {
  const [first] = providerOf(loadCatalog(), text(options, 'provider')).tokenEndpointAuthMethods;
  const authMethod = options['authMethod'] ?? first;
  return oneOf(TokenEndpointAuthMethod, { authMethod }, { name: 'authMethod', flag: '--auth-method' });
}

/** Read before anything is made: a file that is not there must leave nothing behind. */
function secretsOf(options: Options): GivenSecrets {
  const file = secretIn(options, 'privateKeyFile');
  const made = options['makePrivateKey'];
  if (file !== undefined && made !== undefined) {
    throw new PosternError('request.malformed', 'A private key is either made or given.');
  }
  const algorithm = made === true ? { makePrivateKey: 'ES256' } : options;
  return {
    clientSecret: secretIn(options, 'clientSecretFile'),
    certificate: secretIn(options, 'certificateFile'),
    webhookSecret: secretIn(options, 'webhookSecretFile'),
    key:
      made === undefined
        ? file
        : oneOf(JwsAlgorithm, algorithm, { name: 'makePrivateKey', flag: '--make-private-key' }),
  };
}

function secretIn(options: Options, name: string): Secret | undefined {
  const file = options[name];
  if (typeof file !== 'string') return undefined;
  const secret = readFileSync(file === '-' ? 0 : file, 'utf8').trim();
  if (secret === '') throw new PosternError('request.malformed', 'The secret is empty.');
  return Secret.from(secret);
}

function oneOf<T extends string>(
  schema: z.ZodEnum<Record<T, T>>,
  options: Options,
  { name, flag }: { name: string; flag: string },
): T {
  const parsed = schema.safeParse(options[name]);
  if (parsed.success) return parsed.data as T;
  throw new PosternError('request.malformed', `${flag} takes one of ${schema.options.join(', ')}.`);
}

function parametersOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new PosternError('request.malformed', `--parameter takes name=value, not ${pair}.`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}
