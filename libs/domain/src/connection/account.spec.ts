import { exchanging, revoked, stateOf, the } from '../spec-support/connection.ts';
import { isAnotherAccount } from './account.ts';

const by = (account: Parameters<typeof isAnotherAccount>[1]) => stateOf([...exchanging, the.authorized(account)]);

describe('whether another account authorizes a connection again', () => {
  test.each([
    ['the same subject', { accountDigest: 'ada' }, { accountDigest: 'ada' }, false],
    ['another subject', { accountDigest: 'ada' }, { accountDigest: 'grace' }, true],
    [
      'the same subject by a new address',
      { accountDigest: 'ada', accountKeys: { email: 'a' } },
      { accountDigest: 'ada', accountKeys: { email: 'b' } },
      false,
    ],
    ['no subject now', { accountDigest: 'ada' }, { accountDigest: null }, false],
    ['a subject, and none before', { accountDigest: null }, { accountDigest: 'ada' }, false],
    [
      'the same name',
      { accountDigest: null, accountKeys: { user: 'u1' } },
      { accountDigest: null, accountKeys: { user: 'u1' } },
      false,
    ],
    [
      'another name',
      { accountDigest: null, accountKeys: { user: 'u1' } },
      { accountDigest: null, accountKeys: { user: 'u2' } },
      true,
    ],
    [
      'one of two names',
      { accountDigest: null, accountKeys: { user: 'u1', team: 't1' } },
      { accountDigest: null, accountKeys: { user: 'u1', team: 't2' } },
      false,
    ],
    [
      'a name of another kind',
      { accountDigest: null, accountKeys: { user: 'u1' } },
      { accountDigest: null, accountKeys: { team: 'u2' } },
      false,
    ],
  ])('by %s', (_what, before, now, expected) => {
    expect(isAnotherAccount(by(before), now)).toBe(expected);
  });

  test('a new connection takes any, and a revoked one remembers', () => {
    expect(isAnotherAccount(stateOf(exchanging), { accountDigest: 'grace' })).toBe(false);
    expect(isAnotherAccount(stateOf(revoked), { accountDigest: 'nobody of before' })).toBe(true);
  });
});
