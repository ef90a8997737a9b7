import { bytesOf, millisecondsOf } from './measures.ts';

test('a policy is measured in the units that people use', () => {
  expect([millisecondsOf('90m', '--x'), millisecondsOf('7d', '--x'), bytesOf('2GiB', '--x')]).toEqual([
    5_400_000,
    604_800_000,
    2 * 1024 ** 3,
  ]);
  expect(millisecondsOf(undefined, '--x')).toBeUndefined();
});

test.each(['7', 'd', '0d', '-1d', '1y', '1constructor', '', '1.5h'])('%j is refused as malformed', (text) => {
  expect(() => millisecondsOf(text, '--max-age')).toThrow(expect.objectContaining({ code: 'request.malformed' }));
});
