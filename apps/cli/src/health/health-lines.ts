import type { ConnectionHealth, ConnectionsHealth, HealthOverview } from '@postern/contracts';

import { table } from '../output/printer.ts';

/** A line a provider, then why, then who has trouble of his own. */
export function overviewLines({ as_of: asOf, providers }: HealthOverview): string[] {
  if (providers.length === 0) return ['there are no connections', ...behindLines(asOf)];
  const alone = providers.flatMap((one) =>
    one.by_themselves.map((of) => [of.connection_id, one.provider, of.state, of.reason]),
  );
  return [
    ...table([
      ['PROVIDER', 'STATE', 'CONNECTIONS', 'FAILING', 'DIED', 'SINCE', 'WHY'],
      ...providers.map((one) => [
        ...[one.provider, one.state, String(one.connections), String(one.failing), String(one.died)],
        ...[one.since ?? '-', one.reason],
      ]),
    ]),
    ...(alone.length === 0 ? [] : ['', ...table([['BY THEMSELVES', 'PROVIDER', 'STATE', 'WHY'], ...alone])]),
    ...behindLines(asOf),
  ];
}

/** A line a connection; of a single one all that is known. */
export function connectionsLines({ as_of: asOf, connections, next }: ConnectionsHealth): string[] {
  const [only] = connections;
  if (only === undefined) return ['there are no such connections', ...behindLines(asOf)];
  if (connections.length === 1) return [...connectionLines(only), ...behindLines(asOf)];
  return [
    ...table([
      ['CONNECTION', 'PROVIDER', 'STATE', 'MENDED BY', 'LAST SUCCESS', 'LAST USE', 'ENDS NEXT', 'WHY'],
      ...connections.map((one) => [
        ...[one.connection_id, one.provider, one.state, one.remedy],
        ...[one.last_success_at ?? '-', one.last_used_at ?? '-', endsNext(one), one.reason],
      ]),
    ]),
    ...(next === null ? [] : ['', `more with --after ${next}`]),
    ...behindLines(asOf),
  ];
}

function connectionLines(one: ConnectionHealth): string[] {
  const errors = one.windows.map(({ hours, attempts, error_rate: rate, errors: kinds }) => {
    const words = Object.entries(kinds).map(([kind, count]) => `${kind} ${count}`);
    const share = rate === null ? '' : `, ${Math.round(rate * 100)} % failed`;
    return [`last ${hours} h`, `${attempts} refreshes${share}${words.length === 0 ? '' : `: ${words.join(', ')}`}`];
  });
  const refused = Object.entries(one.refused_leases).map(([code, count]) => `${code} ${count}`);
  return table([
    [one.connection_id, `${one.state}: ${one.reason}`],
    ['provider', `${one.provider} (${one.registration_id})`],
    ['mended by', one.remedy],
    ['since', one.since ?? '-'],
    ['last success', one.last_success_at ?? '-'],
    ['last use', one.last_used_at ?? '-'],
    ['age of its data', one.data_age_s === null ? 'it never had any' : `${one.data_age_s} s`],
    ['refresh is late by', `${one.refresh_lag_s} s`],
    ...errors,
    ['refused leases', refused.length === 0 ? 'none in the last day' : refused.join(', ')],
    [
      'scopes',
      one.scope_drift === null
        ? 'as they were granted'
        : `lost ${one.scope_drift.lost.join(' ') || 'none'}, changed ${one.scope_drift.at}`,
    ],
    ['wanted besides', one.missing_scopes.join(' ') || '-'],
    ...one.clocks.map(({ clock, ends_at: endsAt }) => [`${clock} ends`, endsAt]),
  ]);
}

const endsNext = ({ clocks: [first] }: ConnectionHealth) =>
  first === undefined ? '-' : `${first.clock} ${first.ends_at}`;

function behindLines({ behind }: HealthOverview['as_of']): string[] {
  return behind === 0 ? [] : ['', `${behind} messages of the log are not in this yet (postern projections list)`];
}
