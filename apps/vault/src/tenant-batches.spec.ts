import { TenantBatches } from './tenant-batches.ts';

interface Asked {
  readonly tenantId: string;
  readonly questions: readonly number[];
  readonly answer: (answers: readonly string[]) => void;
  readonly fail: (error: Error) => void;
}

/** Batches that are answered when the spec says so. */
function setUp(limits: Partial<{ itemsMax: number; inFlightMax: number }> = {}) {
  const asked: Asked[] = [];
  const batches = new TenantBatches<number, string>(
    (tenantId, questions) =>
      new Promise((resolve, reject) => asked.push({ tenantId, questions, answer: resolve, fail: reject })),
    { itemsMax: 3, inFlightMax: 1, ...limits },
  );
  return { asked, batches };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('batches', () => {
  test('take together what one turn asks, and answer each its own', async () => {
    const { asked, batches } = setUp();
    const answers = [1, 2, 3].map((question) => batches.ask('ten_a', question));
    await turn();
    expect(asked.map(({ questions }) => questions)).toEqual([[1, 2, 3]]);
    asked[0]?.answer(['one', 'two', 'three']);
    expect(await Promise.all(answers)).toEqual(['one', 'two', 'three']);
  });

  test('hold one tenant each', async () => {
    const { asked, batches } = setUp();
    const answers = [batches.ask('ten_a', 1), batches.ask('ten_b', 2), batches.ask('ten_a', 3)];
    await turn();
    expect(asked.map(({ tenantId, questions }) => [tenantId, questions])).toEqual([
      ['ten_a', [1, 3]],
      ['ten_b', [2]],
    ]);
    asked[0]?.answer(['one', 'three']);
    asked[1]?.answer(['two']);
    expect(await Promise.all(answers)).toEqual(['one', 'two', 'three']);
  });

  test('are bounded, in their size and in how many are under way; what waits goes together', async () => {
    const { asked, batches } = setUp();
    const answers = [1, 2, 3, 4].map((question) => batches.ask('ten_a', question));
    await turn();
    answers.push(batches.ask('ten_a', 5));
    await turn();
    expect(asked.map(({ questions }) => questions)).toEqual([[1, 2, 3]]);
    asked[0]?.answer(['1', '2', '3']);
    await turn();
    expect(asked[1]?.questions).toEqual([4, 5]);
    asked[1]?.answer(['4', '5']);
    expect(await Promise.all(answers)).toEqual(['1', '2', '3', '4', '5']);
  });

  test('fail as a whole, and the next goes on', async () => {
    const { asked, batches } = setUp();
    const failed = [1, 2].map((question) => batches.ask('ten_a', question));
    await turn();
    const later = batches.ask('ten_a', 3);
    asked[0]?.fail(new Error('away'));
    expect((await Promise.allSettled(failed)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await turn();
    asked[1]?.answer(['three']);
    expect(await later).toBe('three');
  });
});
