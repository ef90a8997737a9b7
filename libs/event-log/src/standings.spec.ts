import { isDeepStrictEqual } from 'node:util';

import { recentMax, Standings } from './standings.ts';

const subjectOf = (one: number) => `connection.0.ten_spec.con_${one}`;
const standing = (one: number, revision: number) => [
  {
    revision,
    hash: `hash ${one} ${revision}`,
    at: '2026-11-29T12:00:00.000Z',
    state: { one, words: ['ü', '\u0000', '"'] },
  },
];
const aggregates = Array.from({ length: 3 * recentMax }, (_, one) => one);

test('what was laid aside comes back as it was, the newest of it, and everything is counted once', () => {
  const standings = new Standings();
  for (const revision of [1, 2]) for (const one of aggregates) standings.set(subjectOf(one), standing(one, revision));
  const changed = aggregates.filter((one) => !isDeepStrictEqual(standings.get(subjectOf(one)), standing(one, 2)));
  expect(changed).toEqual([]);
  expect(standings.get('connection.0.ten_spec.con_unknown')).toBeUndefined();
  expect(standings.count()).toBe(aggregates.length);
  expect(standings.get(subjectOf(1))).toEqual(standing(1, 2));
  standings.close();
});

test('only those met last are in memory', () => {
  const standings = new Standings();
  const given = aggregates.map((one) => standing(one, 1));
  for (const one of aggregates) standings.set(subjectOf(one), given[one] ?? []);
  const inMemory = aggregates.filter((one) => standings.get(subjectOf(one)) === given[one]);
  expect(inMemory.length).toBeLessThanOrEqual(recentMax);
  expect(inMemory).toEqual(aggregates.slice(-inMemory.length));
  standings.close();
});

test('one that is met again and again stays in memory', () => {
  const standings = new Standings();
  const often = standing(0, 1);
  standings.set(subjectOf(0), often);
  let stayed = true;
  for (const one of aggregates.slice(1)) {
    standings.set(subjectOf(one), standing(one, 1));
    if (one % (recentMax / 4) !== 0) continue;
    stayed &&= standings.get(subjectOf(0)) === often;
    standings.set(subjectOf(0), often);
  }
  expect(stayed).toBe(true);
  standings.close();
});

test('a temporary folder that does not take it is told in words', () => {
  const standings = new Standings();
  for (const one of aggregates) standings.set(subjectOf(one), standing(one, 1));
  const unspeakable = { one: 1n } as unknown;
  standings.set(subjectOf(0), [{ ...standing(0, 2)[0], state: unspeakable } as never]);
  expect(() => standings.count()).toThrow(expect.objectContaining({ code: 'service.internal' }));
  standings.set(subjectOf(0), standing(0, 2));
  expect(standings.count()).toBe(aggregates.length);
  standings.close();
});
