import type { WeighedSignal } from '@postern/contracts';

import { inspectionLines, signalLines } from './signal-lines.ts';

const signal = (more: Partial<WeighedSignal>): WeighedSignal => ({
  position: 7,
  source: 'slack',
  registration_id: 'reg_1',
  type: 'tokens_revoked',
  delivery_id: 'Ev1',
  received_at: '2030-01-01T00:00:00.000Z',
  outcome: 'unmatched',
  matched: 0,
  revoked: 0,
  suspected: 0,
  weighed_at: '2030-01-01T00:00:01.000Z',
  ...more,
});

test('a line a signal, with what it did to how many', () => {
  const lines = signalLines([
    signal({ outcome: 'revoked', matched: 3, revoked: 2, suspected: 1 }),
    signal({ position: 6, delivery_id: 'Ev0' }),
  ]);
  expect(lines[1]).toMatch(/^7 .* slack +tokens_revoked +revoked +3 \(2 revoked, 1 suspected\) +reg_1 +Ev1$/);
  expect(lines[2]).toMatch(/^6 .* unmatched +0 +reg_1 +Ev0$/);
});

test('none is said, not shown as nothing', () => {
  expect(signalLines([])).toEqual(['no signals']);
  expect(inspectionLines([])).toEqual(['no inspections']);
});

test('a line a question, with what was answered', () => {
  const one = { connection_id: 'con_1', registration_id: 'reg_1', asked_at: '2030-01-01T00:00:00.000Z' };
  const lines = inspectionLines([{ ...one, outcome: 'dead' }]);
  expect(lines[1]).toMatch(/^2030-01-01T00:00:00.000Z +dead +con_1 +reg_1$/);
});
