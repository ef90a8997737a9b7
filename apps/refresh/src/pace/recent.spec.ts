import { Recent } from './recent.ts';

test('what was not asked for longest is forgotten first', () => {
  const recent = new Recent<string>(2);
  for (const key of ['a', 'b', 'a', 'c']) recent.get(key, () => key);
  expect([...recent.values()]).toEqual(['a', 'c']);
  expect(recent.peek('b')).toBeUndefined();
  expect(recent.get('a', () => 'another')).toBe('a');
  expect(recent.size).toBe(2);
});
