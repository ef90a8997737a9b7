import { hasContact } from './leader-contact.ts';

const heardAgo = (...msAgo: number[]) => ({
  leader: 'n1',
  replicas: msAgo.map((ms, index) => ({ name: `n${index + 2}`, current: true, active: ms * 1_000_000 })),
});

describe('the answer of a leader', () => {
  test('counts while most of the replicas were heard from lately', () => {
    expect(hasContact(heardAgo(10, 900))).toBe(true);
    expect(hasContact(heardAgo(60_000, 2_900))).toBe(true);
    expect(hasContact(heardAgo(10, 20, 60_000, 60_000))).toBe(true);
  });

  test('does not count once most have been silent for longer than a heartbeat may take', () => {
    expect(hasContact(heardAgo(3_100, 3_100))).toBe(false);
    expect(hasContact(heardAgo(10, 60_000, 60_000, 60_000))).toBe(false);
  });

  test('does not count when it never heard from most, or is no leader', () => {
    expect(hasContact(heardAgo(0, 0))).toBe(false);
    expect(hasContact({ ...heardAgo(10, 10), leader: '' })).toBe(false);
  });

  test('of a single node always counts', () => {
    expect(hasContact(undefined)).toBe(true);
    expect(hasContact({ leader: 'n1' })).toBe(true);
  });
});
