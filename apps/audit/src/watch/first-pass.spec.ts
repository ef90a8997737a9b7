import { FirstPass } from './first-pass.ts';

/** A feed under the spec's hands, and a clock. */
function passing() {
  const feed = { fresh: false, position: 0, isFresh: () => feed.fresh, feedAgeMs: () => (feed.fresh ? 1 : Infinity) };
  const clock = { ms: 0 };
  const pass = new FirstPass(feed, () => clock.ms);
  return { feed, clock, pass };
}

describe('a feed on its first way through the log', () => {
  test('is not ready before it has begun, and ready as long as it reads on', () => {
    const { feed, clock, pass } = passing();
    expect(pass.isFresh()).toBe(false);
    pass.begin();
    for (; clock.ms < 600_000; clock.ms += 20_000) {
      feed.position += 1;
      expect(pass.isFresh()).toBe(true);
    }
    expect(pass.feedAgeMs()).toBe(Infinity);
  });

  test('is not ready where it stands still for long', () => {
    const { clock, pass } = passing();
    pass.begin();
    expect(pass.isFresh()).toBe(true);
    clock.ms = 30_000;
    expect(pass.isFresh()).toBe(false);
  });

  test('has to be fresh once it was at the end', () => {
    const { feed, pass } = passing();
    pass.begin();
    feed.fresh = true;
    expect(pass.isFresh()).toBe(true);
    feed.fresh = false;
    feed.position += 1;
    expect(pass.isFresh()).toBe(false);
  });

  test('is not ready once it is dead', () => {
    const { pass } = passing();
    pass.begin();
    pass.end();
    expect(pass.isFresh()).toBe(false);
  });
});
