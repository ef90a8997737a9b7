import type { ConnectionScopesReply } from '@postern/contracts';

import { scopesLines, together } from './scopes-command.ts';

const time = '2026-11-29T00:00:00.000Z';
const page = (over: Partial<ConnectionScopesReply> = {}, used: Partial<ConnectionScopesReply['used']> = {}) =>
  ({
    answered_at: { moment: `9/8/7@${time}`, time, connections: 9, admin: 8, access: 7 },
    connection_id: 'con_01jd0000000000000000000001',
    asked: { at: time, scopes: ['read', 'write'], capabilities: ['things.read'] },
    given: { credential_version: 1, scopes: ['read', 'extra'], not_given: ['write'], not_asked: ['extra'] },
    drifts: [{ at: time, lost: ['write'], gained: ['extra'] }],
    used: { since: time, leases: 1, without_scopes: 0, scopes: [], missing: ['admin'], ...used },
    could_be_dropped: ['read', 'extra'],
    certain: true,
    not_believed: [],
    read_up_to: 7,
    next: null,
    ...over,
  }) satisfies ConnectionScopesReply;
const read = (leases: number, last_at = time) => [{ scope: 'read', leases, last_at }];

test('pages add up, and what one of them saw in use is kept', () => {
  const first = page({ next: '5', could_be_dropped: ['extra'], certain: false }, { scopes: read(2) });
  const last = page({ certain: false }, { scopes: read(3, '2026-11-29T01:00:00.000Z') });
  const both = together(first, last);
  expect(both.used).toMatchObject({ leases: 2, scopes: read(5, '2026-11-29T01:00:00.000Z') });
  expect([both.could_be_dropped, both.certain]).toEqual([['extra'], true]);
});

test.each([
  ['a lease that named no scopes', page({}, { without_scopes: 1 })],
  ['a group that is not believed', page({ not_believed: [{ position: 3, kind: 'foreign', reason: 'forged' }] })],
  ['a page that is still to come', page({ next: '6' })],
])('%s leaves it uncertain', (_name, more) => {
  expect(together(page({ next: '5' }), more).certain).toBe(false);
});

test('each scope has its row, and doubt is said', () => {
  const lines = scopesLines(page({ certain: false }, { scopes: read(2) }));
  expect(lines).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^read +yes +yes +2 +2026/),
      expect.stringMatching(/^write +yes +- +0 +-$/),
      expect.stringMatching(/^extra +- +yes +0 +-$/),
      `${time} drift: -write +extra`,
      expect.stringMatching(/^could be dropped: read extra \(no lease named them/),
    ]),
  );
});
