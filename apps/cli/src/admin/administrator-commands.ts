import { newId, PosternError } from '@postern/contracts';
import {
  addAdministrator,
  changePolicy,
  governanceEvolver,
  livingAdministrators,
  removeAdministrator,
  type Governance,
  type GovernanceEvent,
} from '@postern/domain';
import type { Command } from 'commander';

import { dataFolder } from '../data-folder/paths.ts';
import { table } from '../output/printer.ts';
import type { RunCommand, SessionRun } from '../run-command.ts';
import type { Session } from '../session/session.ts';
import { makeAdministratorKey, publicFileOf, readPublicKey, signed } from './administrator-key.ts';
import { decideAdmin } from './decide.ts';
import { text } from './shown.ts';

const withKey = (command: Command) => command.option('--as <file>', 'the file of your own key, which signs this');

/** `postern admin …`: who signs for a tenant, and what needs two of them. */
export function administratorCommands(admin: Command, run: RunCommand): void {
  admin
    .command('key <file>')
    .description('makes your own key: FILE stays with you, FILE.pub goes to another administrator')
    .action(
      run.plain(async ({ printer, globals, args: [file = ''] }) => {
        const { kid } = makeAdministratorKey(file, await dataFolder(globals.data));
        const shown = { kid, private_key_file: file, public_key_file: publicFileOf(file) };
        printer.result(shown, () => [
          `${file} is your key: it stays with you`,
          `${publicFileOf(file)} is for: postern admin add NAME --public-key ${publicFileOf(file)}`,
        ]);
      }),
    );
  withKey(admin.command('add <name>'))
    .description('an administrator; the first needs no signature, every other one that of one who is there')
    .requiredOption('--public-key <file>', 'what postern admin key made for this person')
    .action(run.withSession(add));
  admin
    .command('list')
    .description('the administrators of a tenant, and its policy')
    .action(run.withSession(async (given) => tell(given, await governanceOf(given.session, given.tenantId))));
  withKey(admin.command('remove <administrator>'))
    .description('the signature of this administrator is good for nothing new')
    .option('--reason <text>', 'kept with the decision; no personal data')
    .action(run.withSession(remove));
  withKey(admin.command('policy'))
    .description('whether a second administrator approves providers, and whether connections may be given more risk')
    .option('--approvals <when>', 'required or none')
    .option('--high-risk <where>', 'own: in connections of its own; any: also added to others')
    .action(run.withSession(policy));
}

/** Who signs for a tenant, as the leader of the log has it. */
export async function governanceOf(session: Session, tenantId: string): Promise<Governance> {
  return (await session.repository(governanceEvolver).load({ tenantId, id: tenantId }, { fromLeader: true })).state;
}

/** `admin add` */
export async function add(given: SessionRun): Promise<void> {
  const { options, args } = given;
  const publicJwk = readPublicKey(text(options, 'publicKey'));
  await decide(given, (state) => {
    const data = { number: state.number + 1, administratorId: newId('administrator'), name: args[0] ?? '', publicJwk };
    // Nobody is there to vouch for the first; whoever holds the data folder does.
    const isFirst = state.administrators.length === 0;
    const by = isFirst ? null : decisionOf(given, state, { type: 'AdministratorAdded', data }).by;
    return addAdministrator({ ...data, by }, state);
  });
}

/** `admin remove` */
export async function remove(given: SessionRun): Promise<void> {
  const { options, args } = given;
  const reason = options['reason'] === undefined ? null : text(options, 'reason');
  await decide(given, (state) => {
    const data = { number: state.number + 1, administratorId: args[0] ?? '', reason };
    return removeAdministrator(decisionOf(given, state, { type: 'AdministratorRemoved', data }), state);
  });
}

/** `admin policy` */
export async function policy(given: SessionRun): Promise<void> {
  const { approvals, highRisk } = given.options;
  if (approvals === undefined && highRisk === undefined) {
    return tell(given, await governanceOf(given.session, given.tenantId));
  }
  await decide(given, (state) => {
    const { policy: before } = state;
    const data = {
      number: state.number + 1,
      approvals: oneOf(approvals, ['required', 'none'], '--approvals') ?? before?.approvals ?? 'none',
      highRiskConnections: oneOf(highRisk, ['own', 'any'], '--high-risk') ?? before?.highRiskConnections ?? 'own',
    } as const;
    return changePolicy(decisionOf(given, state, { type: 'TenantPolicyChanged', data }), state);
  });
}

function decisionOf<Data extends { readonly number: number }>(
  { tenantId, options }: SessionRun,
  state: Governance,
  { type, data }: { readonly type: GovernanceEvent['type']; readonly data: Data },
) {
  return signed(options, state, { tenantId, aggregate: 'governance', aggregateId: tenantId, type, data });
}

async function decide(given: SessionRun, decider: (state: Governance) => GovernanceEvent[]): Promise<void> {
  const { session, tenantId } = given;
  tell(given, await decideAdmin(session, { evolver: governanceEvolver, tenantId, id: tenantId }, decider));
}

function tell({ printer }: Pick<SessionRun, 'printer'>, state: Governance): void {
  const living = livingAdministrators(state);
  const approvals = state.policy?.approvals ?? 'none';
  const highRisk = state.policy?.highRiskConnections ?? 'own';
  const administrators = state.administrators.map(({ administratorId, name, publicJwk, by, removed }) => ({
    ...{ administrator_id: administratorId, name, kid: publicJwk.kid },
    ...{ vouched_for_by: by?.administratorId ?? null, removed },
  }));
  printer.result({ administrators, approvals, high_risk_connections: highRisk }, () => [
    ...table([
      ['ADMINISTRATOR', 'NAME', 'KEY', 'VOUCHED FOR BY', 'STATE'],
      ...administrators.map((one) => [
        ...[one.administrator_id, one.name, one.kid.slice(0, 12), one.vouched_for_by ?? 'the data folder'],
        one.removed ? 'removed' : 'signs',
      ]),
    ]),
    approvals === 'required'
      ? 'approvals: required: a provider, and scopes of more risk, need two administrators'
      : `approvals: none${living.length < 2 ? ' (they need two administrators)' : ''}`,
    `high risk: ${highRisk === 'own' ? 'in connections of its own' : 'may be added to any connection'}`,
  ]);
}

function oneOf<const T extends string>(value: unknown, known: readonly T[], flag: string): T | undefined {
  if (value === undefined) return undefined;
  const found = known.find((one) => one === value);
  if (found === undefined) throw new PosternError('request.malformed', `${flag} takes ${known.join(' or ')}.`);
  return found;
}
