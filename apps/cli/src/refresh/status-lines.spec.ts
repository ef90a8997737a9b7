import type { RefreshStatus } from '@postern/contracts';

import { statusLines } from './status-lines.ts';

const status: RefreshStatus = {
  instance: 'refresh-1',
  surveyed_at: '2026-05-01T12:00:00.000Z',
  survey_ms: 12,
  connections: 7,
  scheduled: 5,
  next_due_at: '2026-05-01T12:01:00.000Z',
  due: 2,
  late: 1,
  unscheduled: 0,
  failing: [
    {
      provider: 'zendesk',
      connections: 9,
      since: '2026-05-01T11:00:00.000Z',
      next_attempt_at: null,
      reasons: ['http_503', 'timeout', 'http_500', 'rare'].map((reason) => ({ reason, connections: 2 })),
    },
  ],
  open_breakers: [],
  mended: { missing: 3, moved: 0, stray: 0, overdue: 0 },
};

test('one screen says what is due and late, who fails and why, and what was mended', () => {
  const screen = statusLines(status).join('\n');
  expect(screen).toContain('surveyed at 2026-05-01T12:00:00.000Z by refresh-1 in 12 ms');
  expect(screen).toMatch(/due +2\n/);
  expect(screen).toMatch(/late +1\n/);
  expect(screen).toContain('3 missing, 0 moved');
  expect(screen).toMatch(/zendesk +9 +2026-05-01T11:00:00.000Z +- +http_503 \(2\), timeout \(2\), http_500 \(2\)$/);
});

test('what is not known is not told as if nothing were wrong', () => {
  expect(statusLines({ ...status, surveyed_at: null })).toEqual([expect.stringContaining('not finished')]);
  expect(statusLines({ ...status, failing: [] }).at(-1)).toBe('no provider is failing');
});

test('whom the process leaves alone is told, until when and why', () => {
  const one = { provider: 'zendesk', registration_id: 'reg_01m893tfrrfzzrkbffk4cr48fd', last_error: 'http_503' };
  const open_breakers = [
    { ...one, next_trial_at: '2026-05-01T12:02:00.000Z', failures_in_a_row: 5 },
    { ...one, next_trial_at: null, failures_in_a_row: 6 },
  ];
  const lines = statusLines({ ...status, open_breakers });
  expect(lines.at(-2)).toMatch(/^zendesk +reg_\S+ +2026-05-01T12:02:00.000Z +5 +http_503$/);
  expect(lines.at(-1)).toMatch(/ now +6 +http_503$/);
});
