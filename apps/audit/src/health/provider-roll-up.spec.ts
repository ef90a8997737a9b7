import { facts, hourMs, nowMs } from '../spec-support/health-facts.ts';
import type { HealthFacts } from './health-facts.ts';
import { healthOf } from './health-of.ts';
import { ProviderRollUp } from './provider-roll-up.ts';

const minuteMs = 60_000;
const many = (count: number, some: Partial<HealthFacts>): HealthFacts[] =>
  Array.from({ length: count }, () => facts(some));
const well = (count: number, agoMs = 30 * minuteMs) => many(count, { lastSuccessAtMs: nowMs - agoMs });
const failing = (count: number, agoMs: number, failingKind: HealthFacts['failingKind'] = 'provider_error') =>
  many(count, {
    failingSinceMs: nowMs - agoMs,
    failingKind,
    failingError: 'http_503',
    lastSuccessAtMs: nowMs - agoMs - hourMs,
  });
const died = (count: number, agoMs: number) =>
  many(count, {
    ...{ authorization: 'reauthorization_required', cause: 'invalid_grant' },
    grantDiedAtMs: nowMs - agoMs,
    lastSuccessAtMs: nowMs - agoMs - hourMs,
  });

function rollUp(connections: readonly HealthFacts[], tenants = 1) {
  const one = new ProviderRollUp('salesforce', nowMs);
  const rules = { idleTtlS: null, absoluteTtlS: null };
  for (const [index, fact] of connections.entries()) {
    one.add(
      fact,
      healthOf(fact, { use: { lastUsedAtMs: null, refused: {} }, rules, nowMs }),
      `tenant-${index % tenants}`,
    );
  }
  return one.verdict({ ofAll: true });
}

const ids = (connections: readonly HealthFacts[]) => connections.map((one) => one.connectionId);
const named = (verdict: ReturnType<typeof rollUp>) => verdict.by_themselves.map((one) => one.connection_id);

test('one customer’s grant that died is one customer’s: the provider is well, and the connection is named', () => {
  const dead = died(1, 5 * minuteMs);
  const verdict = rollUp([...well(40), ...dead]);
  expect(verdict).toMatchObject({ state: 'ok', died: 1, failing: 0, since: null });
  expect(named(verdict)).toEqual(ids(dead));
});

test('a grant that died does not look like an outage, though nothing else was tried since', () => {
  expect(rollUp(died(1, minuteMs)).state).toBe('ok');
});

test('a provider that is down is down at once, although everybody was well half an hour ago', () => {
  const verdict = rollUp([...well(40), ...failing(5, 2 * minuteMs)], 4);
  expect(verdict).toMatchObject({ state: 'down', failing: 5, tenants_failing: 4, by_themselves: [] });
  expect(verdict.reason).toContain('5 of 5');
});

test('one grant that dies while its provider is down does not hide in the outage', () => {
  const dead = died(1, minuteMs);
  const verdict = rollUp([...failing(20, 10 * minuteMs), ...dead]);
  expect(verdict.state).toBe('down');
  expect(named(verdict)).toEqual(ids(dead));
});

test('one connection that fails while others are refreshed has trouble of its own', () => {
  const alone = failing(1, 20 * minuteMs);
  const verdict = rollUp([...well(10, minuteMs), ...alone]);
  expect(verdict.state).toBe('ok');
  expect(named(verdict)).toEqual(ids(alone));
});

test('one that fails with nobody to compare it with is unclear, and said to be', () => {
  expect(rollUp([...well(10, 30 * minuteMs), ...failing(1, minuteMs)]).state).toBe('unclear');
});

test('whoever has failed for days hides no outage that begins now, and is not counted in', () => {
  const old = failing(1, 20 * hourMs);
  const verdict = rollUp([...well(30, 30 * minuteMs), ...old, ...failing(3, minuteMs)]);
  expect(verdict.state).toBe('down');
  expect(verdict.reason).toContain('3 of 3');
  expect(named(verdict)).toEqual(ids(old));
});

test('an outage is over once most of those that are tried succeed, though some still wait for their turn', () => {
  expect(rollUp([...failing(5, 10 * minuteMs), ...well(2, minuteMs)]).state).toBe('down');
  expect(rollUp([...failing(5, 10 * minuteMs), ...well(20, minuteMs)]).state).toBe('shaky');
  expect(rollUp([...failing(5, 10 * minuteMs), ...well(60, minuteMs)]).state).toBe('ok');
});

test('a registration that is refused is ours to mend, and no outage and no dead grant', () => {
  const verdict = rollUp(failing(12, 10 * minuteMs, 'registration_refused'));
  expect(verdict).toMatchObject({ state: 'refusing_registration', died: 0 });
  expect(verdict.reason).toContain('reg_one');
});

test('many grants that are called dead at once are a matter of the provider or of our client', () => {
  const verdict = rollUp([
    ...died(9, 10 * minuteMs),
    ...failing(3, 5 * minuteMs, 'grant_doubted'),
    ...well(2, minuteMs),
  ]);
  expect(verdict).toMatchObject({ state: 'grants_dying', died: 12, by_themselves: [] });
  expect(rollUp([...died(2, 10 * minuteMs), ...well(2, minuteMs)]).state).toBe('ok');
});

test('what Postern itself could not do blames no provider', () => {
  const verdict = rollUp(failing(8, 10 * minuteMs, 'postern'));
  expect(verdict).toMatchObject({ state: 'ok', failing: 8, failures: { postern: 8 } });
  expect(verdict.by_themselves).toHaveLength(8);
});

test('deleted connections count for nothing; tenants are counted only for who sees all', () => {
  expect(rollUp(many(3, { authorization: 'deleted' }))).toMatchObject({ connections: 0, state: 'ok' });
  expect(new ProviderRollUp('x', nowMs).verdict({ ofAll: false })).not.toHaveProperty('tenants_failing');
});
