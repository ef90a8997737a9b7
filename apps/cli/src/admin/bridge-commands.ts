import { newId } from '@postern/contracts';
import {
  bridgeEvolver,
  createBridge,
  disableBridge,
  issueBridgeCredentials,
  type Bridge,
  type SpokenFor,
} from '@postern/domain';
import { bridgeCreds } from '@postern/nats';
import type { Command } from 'commander';

import { writePrivate } from '../data-folder/files.ts';
import { readOperator } from '../data-folder/operator.ts';
import type { RunCommand, SessionRun } from '../run-command.ts';
import type { Session } from '../session/session.ts';
import { decideAdmin } from './decide.ts';
import { platformCredsTtlMs } from './platform-ref.ts';
import { endNatsUsers } from './platform-users.ts';
import { factLines, list, refuseToOverwrite, show, text } from './shown.ts';
import { scopeOf, withScope } from './spoken-for.ts';

/** `postern bridges …`: who may publish signals on the bus, and about which connections. */
export function bridgeCommands(bridges: Command, run: RunCommand): void {
  withScope(bridges.command('create'))
    .description('somebody who publishes signals on NATS; writes the credentials for it, once')
    .requiredOption('--name <name>')
    .option('--creds <file>', 'where to write the NATS credentials', 'bridge.creds')
    .action(run.withSession(create));
  bridges.command('list').action(run.withSession((given) => list(given, bridgeEvolver)));
  bridges.command('show <bridge>').action(run.withSession((given) => show(given, bridgeEvolver, given.args[0])));
  bridges.command('disable <bridge>').action(
    run.withSession(async ({ session, tenantId, args: [id = ''], printer }) => {
      const state = await decideAdmin(session, { evolver: bridgeEvolver, tenantId, id }, (before) =>
        disableBridge({ reason: null }, before),
      );
      await endNatsUsers(session, state.natsUser === null ? [] : [state.natsUser]);
      printer.result(state, () => [`${id} is disabled`]);
    }),
  );
}

async function create({ session, tenantId, options, printer }: SessionRun): Promise<void> {
  const credsFile = text(options, 'creds');
  refuseToOverwrite(credsFile);
  const speaksFor = await scopeOf(session, tenantId, options['registration'] as string[]);
  const displayName = text(options, 'name');
  const { bridge, creds } = await createBridgeWithAccess(session, { tenantId, displayName, speaksFor });
  writePrivate(credsFile, creds);
  const subjects = speaksFor.map(({ registrationId }) => `signal.${bridge.bridgeId}.${registrationId}.DELIVERY`);
  const shown = { bridge_id: bridge.bridgeId, subjects, nats_creds_file: credsFile };
  printer.result(shown, () => factLines(shown));
}

/** A bridge with its NATS user, which lives as long as a platform's. */
async function createBridgeWithAccess(
  session: Session,
  { tenantId, displayName, speaksFor }: { tenantId: string; displayName: string; speaksFor: SpokenFor[] },
): Promise<{ bridge: Bridge; creds: string }> {
  const target = { evolver: bridgeEvolver, tenantId, id: newId('bridge') };
  await decideAdmin(session, target, (state) => createBridge({ displayName, speaksFor }, state));
  const registrationIds = speaksFor.map(({ registrationId }) => registrationId);
  const about = { bridgeId: target.id, registrationIds, ttlMs: platformCredsTtlMs };
  const { creds, userPublicKey: natsUser } = await bridgeCreds(readOperator(session.folder), about);
  const bridge = await decideAdmin(session, target, (state) => issueBridgeCredentials({ natsUser }, state));
  return { bridge, creds };
}
