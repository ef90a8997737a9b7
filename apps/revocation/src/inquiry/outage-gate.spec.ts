import { revocationLimits } from '../revocation-limits.ts';
import { OutageGate, type Hint } from './outage-gate.ts';

const { inquiriesAtOnceMax, waveConnectionsMin, waveWindowMs, wavePauseMsMin, wavePauseMsMax } = revocationLimits;
const startMs = 1_800_000_000_000;
const hint = (n: number, more: Partial<Hint> = {}): Hint => ({
  registrationId: 'reg_1',
  connectionId: `con_${n}`,
  receivedAtMs: startMs,
  isNew: true,
  ...more,
});
const many = Array.from({ length: 3 * waveConnectionsMin }, (_, n) => hint(n));
const kinds = (gate: OutageGate, hints: readonly Hint[], nowMs = startMs) =>
  hints.map((one) => gate.enter(one, nowMs).kind);
const count = (list: readonly string[], kind: string) => list.filter((one) => one === kind).length;

test('a few are asked about side by side, the next ones in their turn', () => {
  const gate = new OutageGate();
  const few = many.slice(0, waveConnectionsMin - 1);
  expect(count(kinds(gate, few), 'ask')).toBe(inquiriesAtOnceMax);
  gate.ended(hint(0), { kind: 'disproved' }, startMs);
  expect(kinds(gate, [hint(inquiriesAtOnceMax)])).toEqual(['ask']);
  expect(gate.waves(startMs)).toBe(0);
});

describe('a wave', () => {
  /** All of it has come; those that were let in before it was one have had no answer worth anything. */
  function wave() {
    const gate = new OutageGate();
    const asking = many.filter((one) => gate.enter(one, startMs).kind === 'ask');
    for (const one of asking) gate.ended(one, undefined, startMs);
    for (const one of asking) gate.enter({ ...one, connectionId: `${one.connectionId}-again` }, startMs);
    return gate;
  }

  test('begins once', () => {
    const gate = new OutageGate();
    const began = many.map((one) => gate.enter(one, startMs).waveBegan);
    expect(began.indexOf(true)).toBe(waveConnectionsMin - 1);
    expect(count(began.map(String), 'true')).toBe(1);
    expect(gate.waves(startMs)).toBe(1);
  });

  test('has one question at a time', () => {
    const gate = new OutageGate();
    const first = kinds(gate, many);
    expect(count(first, 'ask')).toBe(inquiriesAtOnceMax);
    for (let n = 0; n < inquiriesAtOnceMax; n += 1) gate.ended(hint(n), undefined, startMs);
    expect(count(kinds(gate, many), 'ask')).toBe(1);
  });

  test('of which one grant lives is let be, and a later report is heard', () => {
    const gate = wave();
    gate.ended(hint(5), { kind: 'disproved' }, startMs + 1_000);
    expect(new Set(kinds(gate, many, startMs + 2_000))).toEqual(new Set(['let_be']));
    expect(kinds(gate, [hint(8, { isNew: false })], startMs + 2_000)).toEqual(['ask']);
    const later = hint(7, { receivedAtMs: startMs + 3_000 });
    expect(kinds(gate, [later], startMs + 3_000)).toEqual(['ask']);
  });

  test('of which one grant is dead goes on, each for itself', () => {
    const gate = wave();
    gate.ended(hint(5), { kind: 'confirmed' }, startMs);
    const rest = many.slice(6, 6 + 2 * inquiriesAtOnceMax);
    const admitted = kinds(gate, rest);
    expect(count(admitted, 'ask')).toBeGreaterThan(1);
    expect(admitted).not.toContain('let_be');
    gate.ended(hint(6), { kind: 'disproved' }, startMs);
    expect(kinds(gate, [hint(7)])).not.toEqual(['let_be']);
  });

  test('without an answer rests, twice as long each time, and as long as the provider asks', () => {
    const gate = wave();
    let nowMs = startMs;
    const pauses = Array.from({ length: 8 }, () => {
      gate.ended(hint(5), { kind: 'again', retryAfterMs: null }, nowMs);
      const admission = gate.enter(hint(9), nowMs);
      const delayMs = admission.kind === 'wait' ? admission.delayMs : 0;
      nowMs += delayMs;
      expect(kinds(gate, many, nowMs)).toContain('ask');
      return delayMs;
    });
    expect(pauses.slice(0, 3)).toEqual([1, 2, 4].map((times) => times * wavePauseMsMin));
    expect(pauses.at(-1)).toBe(wavePauseMsMax);
    gate.ended(hint(5), { kind: 'again', retryAfterMs: 3_600_000 }, nowMs);
    expect(gate.enter(hint(9), nowMs)).toMatchObject({ kind: 'wait', delayMs: 3_600_000 });
  });

  test('is over when nobody has come for a while, and is no matter of another registration', () => {
    const gate = wave();
    const elsewhere = many.map((one) => ({ ...one, registrationId: 'reg_2' })).slice(0, 3);
    expect(kinds(gate, elsewhere)).toEqual(['ask', 'ask', 'ask']);
    expect(gate.waves(startMs + waveWindowMs + 1)).toBe(0);
  });
});
