import type { RefreshStatus } from '@postern/contracts';

import { table } from '../output/printer.ts';

const reasonsShownMax = 3;

/** One screen: how many are due and late, who fails and why, what was mended. */
export function statusLines(status: RefreshStatus): string[] {
  const { surveyed_at: surveyedAt, instance, mended } = status;
  if (surveyedAt === null) return [`${instance} has not finished its first survey yet; ask again in a while`];
  return [
    ...table([
      ['refreshing', `surveyed at ${surveyedAt} by ${instance} in ${status.survey_ms} ms`],
      ['connections', String(status.connections)],
      ['scheduled', `${status.scheduled}, the next one at ${status.next_due_at ?? '-'}`],
      ['due', String(status.due)],
      ['late', String(status.late)],
      ['without a schedule', String(status.unscheduled)],
      [
        'mended since start',
        Object.entries(mended)
          .map(([fault, count]) => `${count} ${fault}`)
          .join(', '),
      ],
    ]),
    '',
    ...failingLines(status.failing),
    ...breakerLines(status.open_breakers),
  ];
}

function breakerLines(open: RefreshStatus['open_breakers']): string[] {
  if (open.length === 0) return [];
  const rows = open.map((one) => [
    one.provider,
    one.registration_id,
    one.next_trial_at ?? 'now',
    String(one.failures_in_a_row),
    one.last_error ?? '-',
  ]);
  return ['', ...table([['LEFT ALONE', 'REGISTRATION', 'NEXT TRIAL', 'FAILURES', 'LAST ERROR'], ...rows])];
}

function failingLines(failing: RefreshStatus['failing']): string[] {
  if (failing.length === 0) return ['no provider is failing'];
  return table([
    ['FAILING AT', 'CONNECTIONS', 'SINCE', 'NEXT ATTEMPT', 'REASONS'],
    ...failing.map(({ provider, connections, since, next_attempt_at: next, reasons }) => [
      provider,
      String(connections),
      since ?? '-',
      next ?? '-',
      reasons
        .slice(0, reasonsShownMax)
        .map(({ reason, connections: count }) => `${reason} (${count})`)
        .join(', '),
    ]),
  ]);
}
