import type { Row, TenantQuery } from '@postern/persistence';

import { GroupedStores } from './grouped-stores.ts';

const query = (name: string): TenantQuery => ({ name, text: name, values: [] });
const turn = () => new Promise((resolve) => setImmediate(resolve));

interface Written {
  readonly names: readonly string[];
  readonly done: PromiseWithResolvers<void>;
}

/** A database whose transactions end when the spec says so; each query's row is its name. */
function setUp() {
  const written: Written[] = [];
  const database = {
    writeInTenant: async (_tenantId: string, queries: readonly TenantQuery[]): Promise<Row[][]> => {
      const done = Promise.withResolvers<void>();
      written.push({ names: queries.map(({ name }) => name), done });
      await done.promise;
      return queries.map(({ name }) => [{ name }]);
    },
  };
  const stores = new GroupedStores(database, { itemsMax: 3, inFlightMax: 1 });
  const write = (ownerId: string, ...names: string[]) => stores.write({ tenantId: 'ten_a', ownerId }, names.map(query));
  return { written, write };
}

describe('stores of one tenant', () => {
  test('that come while one is under way are one transaction, in the order of their owners', async () => {
    const { written, write } = setUp();
    const first = write('m', 'hold m', 'insert m');
    await turn();
    const others = [write('z', 'hold z', 'insert z'), write('a', 'hold a', 'insert a')];
    await turn();
    expect(written.map(({ names }) => names)).toEqual([['hold m', 'insert m']]);
    written[0]?.done.resolve();
    expect(await first).toEqual([[{ name: 'hold m' }], [{ name: 'insert m' }]]);
    await turn();
    expect(written[1]?.names).toEqual(['hold a', 'insert a', 'hold z', 'insert z']);
    written[1]?.done.resolve();
    expect(await Promise.all(others)).toEqual([
      [[{ name: 'hold z' }], [{ name: 'insert z' }]],
      [[{ name: 'hold a' }], [{ name: 'insert a' }]],
    ]);
  });

  test('are written each by itself where their group fails: what is wrong with one keeps no other back', async () => {
    const { written, write } = setUp();
    const [wrong, right] = [write('a', 'wrong'), write('b', 'right')];
    await turn();
    written[0]?.done.reject(new Error('the group'));
    await turn();
    expect(written.slice(1).map(({ names }) => names)).toEqual([['wrong'], ['right']]);
    written[1]?.done.reject(new Error('this one'));
    written[2]?.done.resolve();
    await expect(wrong).rejects.toThrow('this one');
    expect(await right).toEqual([[{ name: 'right' }]]);
  });

  test('one alone is tried once', async () => {
    const { written, write } = setUp();
    const alone = write('a', 'wrong');
    await turn();
    written[0]?.done.reject(new Error('this one'));
    await expect(alone).rejects.toThrow('this one');
    expect(written).toHaveLength(1);
  });
});
