import type { AggregateChange, ConnectionUse, UsableConnection } from '@postern/contracts';

import { changeLines, connectionLines, moreLines, partyLines, reachLines, useLines } from './question-lines.ts';

const use: ConnectionUse = {
  ...{ position: 7, lease_id: 'lse_1', at: '2026-11-22T12:00:00.000Z', correlation_id: 'cor_1' },
  ...{ connection_id: 'con_1', platform_id: 'plt_1', agent_id: 'agt_1', purpose: 'to \u001b[2J read' },
  ...{ outcome: 'granted', code: null, scope: ['read', 'write'], asked_scopes: null, credential_version: 1 },
  decided_at_position: 3,
};
const connection: UsableConnection = {
  ...{ connection_id: 'con_1', platform_id: 'plt_1', provider: 'acme', registration_id: 'reg_1' },
  ...{ authorization: 'authorized', suspended: true, scope: ['read'], credential_version: 1, token_expires_at: null },
  ...{ could: false, code: 'connection.suspended', revision: 4, position: 9 },
};
const change: AggregateChange = {
  ...{ kind: 'agent', id: 'agt_1', first_position: 5, changed: ['disabled'] },
  ...{ before: { name: 'night', disabled: false }, after: { name: 'night', disabled: true } },
};

test('a use tells who, under which scopes, and why not; a purpose commands no terminal', () => {
  const refused = { ...use, outcome: 'refused' as const, code: 'connection.revoked', scope: null };
  const [, granted = '', other = ''] = useLines([use, refused]);
  expect(granted).toMatch(/con_1 +agt_1 +plt_1 +granted +read write .*"to \\u001b\[2J read"/);
  expect(other).toContain('refused: connection.revoked');
  expect(useLines([])).toEqual(['nobody']);
});

test('a connection tells whether it could be used, and a platform and agent whether they could', () => {
  expect(connectionLines([connection])[1]).toMatch(/no: connection\.suspended .* authorized, suspended +read/);
  const agents = [{ agent_id: 'agt_1', name: 'night', could: false, code: 'agent.disabled' }];
  const lines = partyLines([{ platform_id: 'plt_1', name: 'shop', could: true, code: null, agents }]);
  expect(lines.join('\n')).toMatch(/plt_1 +shop +yes\n {2}agt_1 +night +no: agent\.disabled/);
});

test('a reach tells what was used of it, and an answer that was cut says so', () => {
  const uses = { granted: 2, refused: 1, last_at: '2026-11-22T12:00:00.000Z' };
  expect(reachLines([{ ...connection, uses }])[1]).toMatch(/read +2 +1 +2026-11-22/);
  expect([moreLines(false), moreLines(true)]).toEqual([[], [expect.stringContaining('--limit')]]);
});

test('a change tells each fact as it was and is, and a coming back that nothing stayed', () => {
  expect(changeLines([change])).toEqual(['agent agt_1 changed from position 5 on', '  disabled: false → true']);
  expect(changeLines([{ ...change, changed: [] }])[1]).toBe('  and is what it was');
  expect(changeLines([{ ...change, before: null, changed: ['name'] }])).toEqual([
    'agent agt_1 appeared from position 5 on',
    '  name: "night"',
  ]);
});
