import { LruCache } from './state-cache.ts';

function filled(entriesMax: number, count: number) {
  const cache = new LruCache<number>(entriesMax);
  for (let index = 0; index < count; index += 1) cache.set(`key ${index}`, index);
  return cache;
}

test('never holds more than its bound, and lets go what was longest unused', () => {
  const cache = filled(100, 250);
  expect(cache.size).toBe(100);
  expect(cache.get('key 149')).toBeUndefined();
  expect(cache.get('key 150')).toBe(150);
});

test('keeps what is used again and again, whatever else comes', () => {
  const cache = filled(100, 100);
  for (let index = 0; index < 1_000; index += 1) {
    expect(cache.get('key 7')).toBe(7);
    cache.set(`other ${index}`, index);
  }
  expect(cache.size).toBe(100);
});

test('tells that something changed, and not that something was looked at', () => {
  const cache = filled(10, 5);
  const before = cache.changes;
  cache.get('key 1');
  cache.delete('nothing');
  expect(cache.changes).toBe(before);
  const changing = [() => cache.set('key 1', 2), () => cache.delete('key 1'), () => cache.clear()];
  const seen = changing.map((change) => {
    change();
    return cache.changes;
  });
  expect(new Set([before, ...seen]).size).toBe(4);
});

test('holds nothing where nothing is allowed', () => {
  const cache = filled(0, 3);
  expect(cache.size).toBe(0);
  expect(cache.get('key 2')).toBeUndefined();
});

test('lets go in the same order whatever left meanwhile, and after all of it left', () => {
  const cache = filled(100, 150);
  for (let index = 50; index < 100; index += 1) cache.delete(`key ${index}`);
  for (let index = 150; index < 230; index += 1) cache.set(`key ${index}`, index);
  expect(cache.size).toBe(100);
  expect(cache.get('key 129')).toBeUndefined();
  expect(cache.get('key 130')).toBe(130);
  cache.clear();
  for (let index = 0; index < 150; index += 1) cache.set(`key ${index}`, index);
  expect(cache.size).toBe(100);
  expect(cache.get('key 49')).toBeUndefined();
  expect(cache.get('key 50')).toBe(50);
});
