import { assertId, PosternError, type ApprovedRisk } from '@postern/contracts';
import {
  approvalEvolver,
  denyApproval,
  grantApproval,
  registrationEvolver,
  requestApproval,
  type Approval,
  type ApprovalEvent,
  type Governance,
} from '@postern/domain';
import { hostsOf, loadCatalog, providerOf, riskOf, worstRisk, type Provider } from '@postern/provider-catalog';

import { governanceOf } from '../admin/administrator-commands.ts';
import { signed } from '../admin/administrator-key.ts';
import { decideAdmin } from '../admin/decide.ts';
import { text } from '../admin/shown.ts';
import { table } from '../output/printer.ts';
import type { SessionRun } from '../run-command.ts';

/** `providers request`: what was approved before, and what is named besides. */
export async function request(given: SessionRun): Promise<void> {
  const provider = providerIn(given);
  const asked = await askedFor(given, provider);
  const reason = given.options['reason'] === undefined ? null : text(given.options, 'reason');
  await decide(given, (state, sign) => {
    const before = state.approved?.granted;
    const scopes = [...new Set([...(before?.scopes ?? []), ...asked.scopes])].toSorted();
    const data = {
      ...{ number: state.number + 1, fileVersion: provider.version, scopes, reason },
      hosts: [...new Set([...(asked.byFile ? [] : (before?.hosts ?? [])), ...asked.hosts])].toSorted(),
      risk: worstRisk(provider, scopes),
    };
    return requestApproval({ providerId: provider.id, ...sign('ApprovalRequested', data) }, state);
  });
}

/** `providers review` */
export async function review(given: SessionRun): Promise<void> {
  tell(given, await approvalOf(given));
}

/** `providers approve`: signs what the request says, whole. */
export async function approve(given: SessionRun): Promise<void> {
  await decide(given, (state, sign) => {
    if (state.open === null) throw new PosternError('approval.nothing_open', 'No request waits for an answer.');
    const { number, fileVersion, scopes, hosts, risk } = state.open;
    return grantApproval(sign('ApprovalGranted', { number, fileVersion, scopes, hosts, risk }), state);
  });
}

/** `providers deny` */
export async function deny(given: SessionRun): Promise<void> {
  const reason = given.options['reason'] === undefined ? null : text(given.options, 'reason');
  await decide(given, (state, sign) => {
    const number = state.open?.number ?? state.approved?.granted.number ?? 0;
    return denyApproval(sign('ApprovalDenied', { number, reason }), state);
  });
}

function providerIn({ args: [id = ''] }: SessionRun): Provider {
  return providerOf(loadCatalog(), id);
}

interface Asked {
  readonly scopes: readonly string[];
  readonly hosts: readonly string[];
  /** The file tells all hosts: those of before count for nothing. */
  readonly byFile: boolean;
}

async function askedFor({ session, tenantId, options }: SessionRun, provider: Provider): Promise<Asked> {
  const named = options['scope'] as string[];
  const byFile = provider.endpoints !== null;
  if (options['registration'] === undefined) {
    if (!byFile) {
      const why = `Only a registration tells at which host ${provider.id} is; name it with --registration.`;
      throw new PosternError('request.malformed', why);
    }
    return { scopes: named, hosts: hostsOf(provider), byFile };
  }
  const id = assertId('registration', text(options, 'registration'));
  const { state } = await session.repository(registrationEvolver).load({ tenantId, id });
  if (!state.exists || state.providerId !== provider.id) {
    throw new PosternError('registration.not_found', `${id} is no registration at ${provider.id}.`);
  }
  return { scopes: [...state.scopes, ...named], hosts: hostsOf(provider, state.parameters), byFile };
}

async function approvalOf(given: SessionRun): Promise<Approval> {
  const { session, tenantId } = given;
  const ref = { tenantId, id: providerIn(given).id };
  return (await session.repository(approvalEvolver).load(ref, { fromLeader: true })).state;
}

type Sign = <Data extends { readonly number: number }>(
  type: ApprovalEvent['type'],
  data: Data,
) => Data & { readonly by: ReturnType<typeof signed>['by'] };

async function decide(given: SessionRun, decider: (state: Approval, sign: Sign) => ApprovalEvent[]): Promise<void> {
  const { session, tenantId, options } = given;
  const { id } = providerIn(given);
  const governance: Governance = await governanceOf(session, tenantId);
  const sign: Sign = (type, data) =>
    signed(options, governance, { tenantId, aggregate: 'approval', aggregateId: id, type, data });
  const target = { evolver: approvalEvolver, tenantId, id };
  tell(given, await decideAdmin(session, target, (state) => decider(state, sign)));
}

/** What is asked for, line by line, against what the tenant has. */
function tell({ printer, ...given }: SessionRun, { open, approved }: Approval): void {
  const provider = providerIn({ printer, ...given });
  const before = approved?.granted ?? null;
  const after = open ?? before;
  const shown = {
    ...{ provider: provider.id, open, approved: before, newest_file_version: provider.version },
    scopes: changesOf(before?.scopes, after?.scopes).map((one) => ({ ...one, risk: riskOf(provider, one.name) })),
    hosts: changesOf(before?.hosts, after?.hosts),
  };
  printer.result(shown, () => [
    ...table([
      ['', 'WHAT', 'RISK'],
      ...shown.scopes.map(({ change, name, risk }) => [change, name, risk]),
      ...shown.hosts.map(({ change, name }) => [change, name, 'host']),
    ]),
    ...riskLines(before?.risk, after?.risk),
    approved === null
      ? 'approved: nothing'
      : `approved: request ${approved.granted.number} of ${approved.requested.by.administratorId}, by ${approved.granted.by.administratorId}`,
    ...(open === null
      ? []
      : [
          `open: request ${open.number} of ${open.by.administratorId}${open.reason === null ? '' : `: ${open.reason}`}`,
          `next, by another administrator: postern providers approve|deny ${provider.id} --as FILE`,
        ]),
    ...(after !== null && after.fileVersion !== provider.version
      ? [`it was looked at in version ${after.fileVersion} of the file; the newest is ${provider.version}`]
      : []),
  ]);
}

function riskLines(before: ApprovedRisk | undefined, after: ApprovedRisk | undefined): string[] {
  if (after === undefined) return [];
  if (before === undefined || before === after) return [`worst risk: ${after}`];
  return [`worst risk: ${before}, then ${after}`];
}

/** `+` for what comes, `-` for what goes. */
function changesOf(before: readonly string[] = [], after: readonly string[] = []): { change: string; name: string }[] {
  const all = [...new Set([...before, ...after])].toSorted();
  return all.map((name) => {
    if (!before.includes(name)) return { change: '+', name };
    return { change: after.includes(name) ? '' : '-', name };
  });
}
