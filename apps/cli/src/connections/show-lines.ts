import type { ConnectionView, EventView } from '@postern/contracts';
import {
  endOfDelegation,
  isRenewable,
  isUnattended,
  labelOf,
  type Connection,
  type Credential,
  type DelegationChain,
  type Rollout,
} from '@postern/domain';

import { eventRow } from '../events/tail-lines.ts';
import { paint, table } from '../output/printer.ts';
import { versionLine } from '../providers/versions.ts';

/** More does not fit on a screen. */
export const eventsShown = 8;

/** What one screen shows. */
export interface Shown {
  readonly view: ConnectionView;
  /** The state that the view was made of, for its clocks. */
  readonly state: Connection;
  /** The last ones, oldest first. */
  readonly events: readonly EventView[];
  /** What the tenant decided about the versions of the provider's file; null where the catalog does not know it. */
  readonly rollout: Rollout | null;
  /** What stands behind it, where it is derived from others. */
  readonly chain: DelegationChain;
  readonly nowMs: number;
}

/** One screen: state, clocks, last events, what to do next. */
export function showLines(shown: Shown): string[] {
  const { view, events } = shown;
  const { columns } = process.stdout;
  return [
    paint('1', view.connection_id),
    `  ${stateOf(view)}`,
    ...indented([
      ['provider', `${view.provider} (${view.registration_id})`],
      ...(shown.rollout === null || shown.state.credential === null
        ? []
        : ([['provider file', versionLine(shown.state, shown.rollout)]] as const)),
      ['platform', view.platform_id],
      ['scopes', view.scope.join(' ') || '-'],
      ...detailRows(shown.state),
      ['credential', view.credential_version === null ? 'none' : `version ${view.credential_version}`],
      ['revision', `${view.revision} at position ${view.position}`],
      ...delegationRows(shown.chain),
    ]),
    '',
    paint('1', 'Clocks'),
    ...indented(clocksOf(shown)),
    '',
    paint('1', 'Last events'),
    ...(isCutOff(events) ? ['  (earlier ones were dropped, and stand in no archive here)'] : []),
    ...events.map((event) => eventRow(`  ${event.at}`, event, columns)),
    '',
    `${paint('1', 'Next:')} ${nextStep(shown)}`,
  ];
}

/** Less than a screen, which does not begin with the connection's first commit. */
export function isCutOff(events: readonly EventView[]): boolean {
  return events.length < eventsShown && (events[0]?.revision ?? 1) > 1;
}

function stateOf({ authorization, suspended, freshness: { health, reason } }: ConnectionView): string {
  const state = suspended ? `${authorization}, suspended` : authorization;
  const words = `${state}, health ${health}${reason === null ? '' : `: ${reason}`}`;
  const isOver = health === 'revoked' || health === 'reauthorization_required' || health === 'deleted';
  return paint(isOver ? '31' : health === 'ok' ? '32' : '33', words);
}

/** Their types alone: what they say rests sealed. @source RFC 9396 §7 */
function detailRows({ credential }: Connection): [string, string][] {
  const details = credential?.authorizationDetails;
  if (details === undefined) return [];
  const drift = details.asRequested ? '' : ' (not as they were asked for)';
  return [['details', `${details.types.join(' ') || 'none'}${drift}`]];
}

/** Who on behalf of whom, the newest exchange first. */
function delegationRows({ steps, parties }: DelegationChain): [string, string][] {
  const label = (id: string) => {
    const { state } = parties.find(({ connectionId }) => connectionId === id) ?? {};
    return `${id} (${state === undefined ? 'unknown' : labelOf(state)})`;
  };
  return steps.flatMap(({ subjectConnectionId, actorConnectionId }, index): [string, string][] => [
    [index === 0 ? 'acts' : 'before it', actorConnectionId === null ? 'not told' : label(actorConnectionId)],
    ['on behalf of', label(subjectConnectionId)],
  ]);
}

function indented(rows: readonly (readonly [string, string])[]): string[] {
  // A table's first row is its head; here there is none.
  return table([['', ''], ...rows])
    .slice(1)
    .map((line) => `  ${line}`);
}

function clocksOf({ view: { created_at: createdAt }, state, nowMs }: Shown): [string, string][] {
  const { credential, claim, interrupted, health, revokedAtMs } = state;
  const at = (ms: number | null | undefined, otherwise: string) => when(ms, nowMs) ?? otherwise;
  const rows: [string, string | undefined][] = [
    [
      'access token ends',
      credential === null ? '-' : at(credential.accessTokenExpiresAtMs, 'the provider does not say'),
    ],
    ['authorized', at(credential?.authorizedAtMs, 'not yet')],
    ['last refreshed', at(credential?.refreshedAtMs, 'never')],
    ['refresh token', credential === null ? undefined : refreshTokenWords(credential)],
    [
      credential?.senderConstrained === 'mtls' ? 'bound to our certificate' : 'bound to its key',
      credential?.senderConstrained && `by ${credential.senderConstrained}: not leased`,
    ],
    ['provider ends it', when(credential?.authorizationEndsAtMs, nowMs)],
    ['replace it by', when(credential?.rotateAtMs, nowMs)],
    ['failing since', when(health.failingSinceMs, nowMs)],
    ['next attempt', when(health.nextAttemptAtMs ?? interrupted?.retryAtMs, nowMs)],
    [
      'claim until',
      claim === null
        ? undefined
        : `${timeIn(claim.expiresAtMs, nowMs)}, refresh token ${claim.released ? 'released' : 'not released'}`,
    ],
    ['revoked', when(revokedAtMs, nowMs)],
    ['provider told', state.upstreamRevocation ?? undefined],
    ['created', timeIn(Date.parse(createdAt), nowMs)],
  ];
  return rows.filter((row): row is [string, string] => row[1] !== undefined);
}

function refreshTokenWords(credential: Credential): string {
  if (credential.hasRefreshToken) return 'held';
  if (credential.grant === 'static') return 'none: made by hand, and replaced by hand';
  return isRenewable(credential)
    ? `none needed: renewed by ${credential.grant}`
    : 'none: it ends with the access token';
}

function when(ms: number | null | undefined, nowMs: number): string | undefined {
  return typeof ms === 'number' ? timeIn(ms, nowMs) : undefined;
}

function timeIn(ms: number, nowMs: number): string {
  const apart = span(Math.abs(ms - nowMs));
  return `${new Date(ms).toISOString()} (${ms > nowMs ? `in ${apart}` : `${apart} ago`})`;
}

function span(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** What a person can do now: a command, or whom to send where. */
function nextStep({ view, state, chain, nowMs }: Shown): string {
  const { authorization, suspended, reauthorize_url: url, connection_id: id, freshness } = view;
  if (authorization === 'deleted') return 'nothing: connect the account anew if it is needed again';
  if (suspended) return `postern connections resume ${id}`;
  const end = authorization === 'authorized' ? endOfDelegation(chain) : undefined;
  if (end !== undefined)
    return `it leans on another one: postern connections show ${end.details.ended_by?.connection_id ?? chain.parties.at(-1)?.connectionId}`;
  if (isUnattended(state) && (authorization !== 'authorized' || freshness.health === 'reauthorization_required')) {
    const grant = state.credential?.grant ?? state.session?.grant ?? '';
    const from = chain.steps[0];
    const subject = from === undefined ? '' : ` --subject ${from.subjectConnectionId}`;
    const actor = from === undefined || from.actorConnectionId === null ? '' : ` --actor ${from.actorConnectionId}`;
    return `no end user can help: postern connections establish --connection ${id} --grant ${grant}${subject}${actor}`;
  }
  if (authorization === 'pending') return 'the end user finishes the connect session';
  if (authorization !== 'authorized' || freshness.health === 'reauthorization_required') {
    return `send the end user to ${url ?? 'a new connect session'}, or begin one: postern connections reauthorize ${id}`;
  }
  if (freshness.health === 'ok') return whileOk(state, id, nowMs);
  return `wait for the next attempt, or: postern connections refresh ${id}`;
}

function whileOk({ credential, claim }: Connection, id: string, nowMs: number): string {
  const endsAtMs = credential?.accessTokenExpiresAtMs ?? Infinity;
  if (endsAtMs > nowMs || claim !== null) return 'nothing: it works';
  return `the access token has ended and was not refreshed: postern connections refresh ${id}, and see postern refresh status`;
}
