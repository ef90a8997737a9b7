import { existsSync, readFileSync } from 'node:fs';

import { assertId, newId, PosternError, TokenEndpointAuthMethod } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import {
  agentEvolver,
  createAgent,
  createTenant,
  disableAgent,
  disableRegistration,
  disableTenant,
  platformEvolver,
  registrationEvolver,
  tenantEvolver,
} from '@postern/domain';
import type { Command } from 'commander';

import { writePrivate } from '../data-folder/files.ts';
import { table } from '../output/printer.ts';
import type { PlainRun, RunCommand, SessionRun } from '../run-command.ts';
import { decideAdmin, listAdmin } from './decide.ts';
import { endNatsUsersOfTenant } from './platform-users.ts';
import { createPlatformWithAccess, disable, issueAccess, type PlatformAccess } from './platforms.ts';
import { createClientRegistration, redirectUriOf, storeClientSecret } from './registrations.ts';

const gather = (value: string, before: string[] = []) => [...before, value];

/** `postern tenants|platforms|agents|registrations …`: administration. */
export function adminCommands(program: Command, run: RunCommand): void {
  tenantCommands(program.command('tenants').description('tenants'), run);
  platformCommands(program.command('platforms').description('agent platforms and their credentials'), run);
  agentCommands(program.command('agents').description('the agents of platforms'), run);
  registrationCommands(program.command('registrations').description('our clients at providers'), run);
}

function tenantCommands(tenants: Command, run: RunCommand): void {
  tenants
    .command('create')
    .requiredOption('--name <name>')
    .action(
      run.withSession(async ({ session, options, printer }) => {
        const tenantId = newId('tenant');
        await decideAdmin(session, { evolver: tenantEvolver, tenantId, id: tenantId }, (state) =>
          createTenant({ name: text(options, 'name') }, state),
        );
        printer.result({ tenant_id: tenantId }, () => [tenantId]);
      }),
    );
  tenants.command('list').action(run.withSession((given) => list(given, tenantEvolver, '*')));
  tenants.command('show <tenant>').action(run.withSession((given) => show(given, tenantEvolver, given.args[0])));
  tenants.command('disable <tenant>').action(
    run.withSession(async ({ session, args: [id = ''], printer }) => {
      const state = await decideAdmin(session, { evolver: tenantEvolver, tenantId: id, id }, (before) =>
        disableTenant({ reason: null }, before),
      );
      await endNatsUsersOfTenant(session, id);
      printer.result(state, () => [`${id} is disabled`]);
    }),
  );
}

function platformCommands(platforms: Command, run: RunCommand): void {
  platforms
    .command('create')
    .description('makes a platform; shows its client secret and writes its NATS credentials, once')
    .requiredOption('--name <name>')
    .option('--return-url <url>', 'where its users’ browsers come back to (may be repeated)', gather, [])
    .option('--creds <file>', 'where to write the NATS credentials', 'platform.creds')
    .action(
      run.withSession(async (given) => {
        const { session, tenantId, options } = given;
        const returnUrls = (options['returnUrl'] as string[] | undefined) ?? [];
        refuseToOverwrite(text(options, 'creds'));
        const access = await createPlatformWithAccess(session, { tenantId, name: text(options, 'name'), returnUrls });
        tellAccess(given, access);
      }),
    );
  platforms
    .command('rotate <platform>')
    .description('a new client secret and NATS user; the old ones end at once')
    .option('--creds <file>', 'where to write the NATS credentials', 'platform.creds')
    .action(
      run.withSession(async (given) => {
        refuseToOverwrite(text(given.options, 'creds'));
        const platformId = given.args[0] ?? '';
        tellAccess(given, await issueAccess(given.session, { tenantId: given.tenantId, platformId }));
      }),
    );
  platforms.command('list').action(run.withSession((given) => list(given, platformEvolver)));
  platforms.command('show <platform>').action(run.withSession((given) => show(given, platformEvolver, given.args[0])));
  platforms.command('disable <platform>').action(
    run.withSession(async ({ session, tenantId, args: [platformId = ''], printer }) => {
      printer.result(withoutHash(await disable(session, { tenantId, platformId }, null)), () => [
        `${platformId} is disabled`,
      ]);
    }),
  );
}

/** The one place where a client secret is printed: it was asked for, and it is not kept. */
function tellAccess({ session, options, printer }: SessionRun, access: PlatformAccess): void {
  const credsFile = text(options, 'creds');
  writePrivate(credsFile, access.natsCreds.reveal());
  const shown = {
    platform_id: access.platformId,
    client_id: access.platformId,
    client_secret: access.clientSecret.reveal(),
    nats_creds_file: credsFile,
    token_endpoint: `${session.publicUrl}/oauth/token`,
  };
  printer.result(shown, () => [
    ...table([['FIELD', 'VALUE'], ...Object.entries(shown)]),
    '',
    'The secret is shown once; only its hash is kept.',
  ]);
}

function refuseToOverwrite(path: string): void {
  if (existsSync(path)) throw new PosternError('request.malformed', `${path} exists; name another file with --creds.`);
}

function agentCommands(agents: Command, run: RunCommand): void {
  agents
    .command('create')
    .requiredOption('--platform <platform>')
    .requiredOption('--name <name>')
    .action(
      run.withSession(async ({ session, tenantId, options, printer }) => {
        const agentId = newId('agent');
        const platformId = text(options, 'platform');
        const platform = await session.repository(platformEvolver).load({ tenantId, id: platformId });
        if (platform.revision === 0) throw new PosternError('platform.not_found', `${platformId} is not there.`);
        await decideAdmin(session, { evolver: agentEvolver, tenantId, id: agentId }, (state) =>
          createAgent({ platformId, name: text(options, 'name') }, state),
        );
        printer.result({ agent_id: agentId, platform_id: platformId }, () => [agentId]);
      }),
    );
  agents.command('list').action(run.withSession((given) => list(given, agentEvolver)));
  agents.command('show <agent>').action(run.withSession((given) => show(given, agentEvolver, given.args[0])));
  agents.command('disable <agent>').action(
    run.withSession(async ({ session, tenantId, args: [id = ''], printer }) => {
      const state = await decideAdmin(session, { evolver: agentEvolver, tenantId, id }, (before) =>
        disableAgent({ reason: null }, before),
      );
      printer.result(state, () => [`${id} is disabled`]);
    }),
  );
}

function registrationCommands(registrations: Command, run: RunCommand): void {
  registrations
    .command('reserve')
    .description('an id and its redirect URI, for providers that want the URI before they give a client id')
    .action(
      run.withSession(async ({ session, printer }) => {
        const id = newId('registration');
        const shown = { registration_id: id, redirect_uri: redirectUriOf(session, id) };
        printer.result(shown, () => table([['FIELD', 'VALUE'], ...Object.entries(shown)]));
      }),
    );
  registrations
    .command('create')
    .description('our client at a provider; enter the redirect URI it prints at the provider')
    .requiredOption('--provider <id>', 'see: postern providers list')
    .requiredOption('--name <name>', 'what end users read')
    .requiredOption('--client-id <id>')
    .option('--id <registration>', 'an id from: postern registrations reserve')
    .option('--client-secret-file <file>', 'a file with the client secret, or - for standard input')
    .option('--auth-method <method>', TokenEndpointAuthMethod.options.join(', '), 'client_secret_basic')
    .option('--parameter <name=value>', 'a parameter of the provider, such as issuer (may be repeated)', gather, [])
    .option('--scope <scope>', 'a scope it may ask for (may be repeated)', gather, [])
    .action(
      run.withSession(async ({ session, tenantId, options, printer }) => {
        const method = TokenEndpointAuthMethod.safeParse(options['authMethod']);
        if (!method.success)
          throw new PosternError(
            'request.malformed',
            `--auth-method takes one of ${TokenEndpointAuthMethod.options.join(', ')}.`,
          );
        const created = await createClientRegistration(session, {
          tenantId,
          registrationId: options['id'] === undefined ? undefined : assertId('registration', text(options, 'id')),
          providerId: text(options, 'provider'),
          displayName: text(options, 'name'),
          clientId: text(options, 'clientId'),
          tokenEndpointAuthMethod: method.data,
          parameters: parametersOf(options['parameter'] as string[]),
          scopes: options['scope'] as string[],
        });
        const secret = clientSecretOf(options);
        if (secret !== undefined)
          await storeClientSecret(session, { tenantId, registrationId: created.registrationId, secret });
        const shown = { registration_id: created.registrationId, redirect_uri: created.redirectUri };
        printer.result(shown, () => table([['FIELD', 'VALUE'], ...Object.entries(shown)]));
      }),
    );
  registrations
    .command('rotate <registration>')
    .description('stores a new client secret; the newest is used')
    .requiredOption('--client-secret-file <file>', 'a file with the client secret, or - for standard input')
    .action(
      run.withSession(async ({ session, tenantId, args: [registrationId = ''], options, printer }) => {
        const secret = clientSecretOf(options) ?? Secret.from('');
        const version = await storeClientSecret(session, { tenantId, registrationId, secret });
        printer.result({ secret_version: version }, () => [`secret version ${version} is in use`]);
      }),
    );
  registrations.command('list').action(run.withSession((given) => list(given, registrationEvolver)));
  registrations.command('show <registration>').action(
    run.withSession(async (given) => {
      const {
        session,
        tenantId,
        args: [id = ''],
        printer,
      } = given;
      const { state, revision } = await session.repository(registrationEvolver).load({ tenantId, id });
      if (revision === 0) throw new PosternError('registration.not_found', `${id} is not there.`);
      const shown = { ...state, redirectUri: redirectUriOf(session, id) };
      printer.result(shown, () => factLines(shown));
    }),
  );
  registrations.command('disable <registration>').action(
    run.withSession(async ({ session, tenantId, args: [id = ''], printer }) => {
      const state = await decideAdmin(session, { evolver: registrationEvolver, tenantId, id }, (before) =>
        disableRegistration({ reason: null }, before),
      );
      printer.result(state, () => [`${id} is disabled`]);
    }),
  );
}

type AnyEvolver = Parameters<typeof listAdmin>[1]['evolver'];

async function list({ session, tenantId, printer }: SessionRun, evolver: unknown, tenant = tenantId): Promise<void> {
  const found = (await listAdmin(session, { evolver: evolver as AnyEvolver, tenantId: tenant })).map((state) =>
    withoutHash(state as object),
  );
  const columns = Object.keys(found[0] ?? {});
  printer.result(found, () =>
    table([columns.map((name) => name.toUpperCase()), ...found.map((row) => columns.map((name) => cell(row[name])))]),
  );
}

async function show({ session, tenantId, printer }: SessionRun, evolver: unknown, id = ''): Promise<void> {
  const { kind } = evolver as AnyEvolver;
  const owner = kind === 'tenant' ? id : tenantId;
  const { state, revision } = await session.repository(evolver as AnyEvolver).load({ tenantId: owner, id });
  if (revision === 0) throw new PosternError(`${kind}.not_found` as 'platform.not_found', `${id} is not there.`);
  const shown = withoutHash(state as object);
  printer.result(shown, () => factLines(shown));
}

function factLines(facts: object): string[] {
  return table([['FIELD', 'VALUE'], ...Object.entries(facts).map(([name, value]) => [name, cell(value)])]);
}

/** A hash of a secret tells a person nothing: that one is there does. */
function withoutHash(state: object): Record<string, unknown> {
  const { secretHash, ...rest } = state as Record<string, unknown>;
  return secretHash === undefined ? rest : { ...rest, hasSecret: secretHash !== null };
}

const cell = (value: unknown): string =>
  typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
const text = (options: PlainRun['options'], name: string): string => String(options[name]);

function parametersOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new PosternError('request.malformed', `--parameter takes name=value, not ${pair}.`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

function clientSecretOf(options: PlainRun['options']): Secret | undefined {
  const file = options['clientSecretFile'];
  if (typeof file !== 'string') return undefined;
  const secret = readFileSync(file === '-' ? 0 : file, 'utf8').trim();
  if (secret === '') throw new PosternError('request.malformed', 'The client secret is empty.');
  return Secret.from(secret);
}
