import { withWorld, type World } from '../demo/world.ts';

const startTimeoutMs = 300_000;

/**
 * One world of the story for all tests of a file: to start it, and nine processes with it, is most of what a test takes.
 *
 * @param begin what is so before the first test, such as the first steps of the story
 * @returns the world, once the tests run
 */
export function oneWorld(begin: (world: World) => Promise<void>): () => World {
  const over = Promise.withResolvers<void>();
  let world: World | undefined;
  let closed: Promise<void> | undefined;

  beforeAll(async () => {
    const begun = Promise.withResolvers<void>();
    closed = withWorld(
      () => undefined,
      async (started) => {
        await begin(started);
        world = started;
        begun.resolve();
        await over.promise;
      },
    );
    await Promise.race([begun.promise, closed]);
  }, startTimeoutMs);

  afterAll(async () => {
    over.resolve();
    await closed;
  }, startTimeoutMs);

  return () => {
    if (world === undefined) throw new Error('the world did not start');
    return world;
  };
}
