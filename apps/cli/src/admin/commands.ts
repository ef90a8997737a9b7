import { newId, PosternError } from '@postern/contracts';
import {
  agentEvolver,
  createAgent,
  createTenant,
  disableAgent,
  disableTenant,
  platformEvolver,
  tenantEvolver,
} from '@postern/domain';
import type { Command } from 'commander';

import { writePrivate } from '../data-folder/files.ts';
import { ensureTenantKey } from '../data-folder/key-administration.ts';
import { table } from '../output/printer.ts';
import type { RunCommand, SessionRun } from '../run-command.ts';
import { administratorCommands } from './administrator-commands.ts';
import { bridgeCommands } from './bridge-commands.ts';
import { decideAdmin } from './decide.ts';
import { endNatsUsersOfTenant } from './platform-users.ts';
import { createPlatformWithAccess, disable, issueAccess, type PlatformAccess } from './platforms.ts';
import { registrationCommands } from './registration-commands.ts';
import { transmitterCommands } from './transmitter-commands.ts';
import { webhookCommands } from './webhook-commands.ts';
import { gather, list, refuseToOverwrite, show, text, withoutHash } from './shown.ts';

/** `postern tenants|platforms|agents|registrations|transmitters|bridges|webhooks …`: administration. */
export function adminCommands(program: Command, run: RunCommand): void {
  administratorCommands(program.command('admin').description('who signs for a tenant, and its policy'), run);
  tenantCommands(program.command('tenants').description('tenants'), run);
  platformCommands(program.command('platforms').description('agent platforms and their credentials'), run);
  agentCommands(program.command('agents').description('the agents of platforms'), run);
  registrationCommands(program.command('registrations').description('our clients at providers'), run);
  transmitterCommands(program.command('transmitters').description('whose security events are believed'), run);
  webhookCommands(program.command('webhooks').description('where tenants hear of their connections'), run);
  bridgeCommands(program.command('bridges').description('who may publish signals on the bus'), run);
}

function tenantCommands(tenants: Command, run: RunCommand): void {
  tenants
    .command('create')
    .requiredOption('--name <name>')
    .action(
      run.withSession(async ({ session, options, printer }) => {
        const tenantId = newId('tenant');
        // The key first: a tenant without one could hold nothing, a key without a tenant harms nobody.
        await ensureTenantKey(session.folder, tenantId, session.keyServerUrl);
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
