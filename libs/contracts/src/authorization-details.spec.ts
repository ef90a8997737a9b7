import { AuthorizationDetails, GrantedAuthorizationDetails, limits } from './index.ts';

const one = { type: 'payment', amount: { currency: 'EUR', amount: '1' }, actions: ['initiate'] };
const longest = (bytes: number) => {
  const empty = JSON.stringify([{ type: 't', text: '' }]).length;
  return [{ type: 't', text: 'x'.repeat(bytes - empty) }];
};

test('whatever members a type has are kept', () => {
  expect(AuthorizationDetails.parse([one])).toEqual([one]);
});

test.each<[string, unknown]>([
  ['no array', one],
  ['empty', []],
  ['without a type', [{ actions: ['read'] }]],
  ['with an empty type', [{ type: '' }]],
  ['with a type that is none', [{ type: 7 }]],
  ['with a type that is too long', [{ type: 't'.repeat(limits.authorizationDetailsTypeCharsMax + 1) }]],
  ['of something else than objects', ['payment']],
  ['more than may be', Array.from({ length: limits.authorizationDetailsMax + 1 }, () => ({ type: 't' }))],
  ['longer than may be', longest(limits.authorizationDetailsBytesMax + 1)],
  ['longer in bytes than in characters', [{ type: 't', text: 'é'.repeat(limits.authorizationDetailsBytesMax / 2) }]],
])('what is %s is refused', (_what, details) => {
  expect(AuthorizationDetails.safeParse(details).success).toBe(false);
});

test('as many and as long as may be are taken', () => {
  expect(AuthorizationDetails.safeParse(longest(limits.authorizationDetailsBytesMax)).success).toBe(true);
  const many = Array.from({ length: limits.authorizationDetailsMax }, () => ({ type: 't' }));
  expect(AuthorizationDetails.safeParse(many).success).toBe(true);
});

test('a provider may grant none, and say more than it was asked', () => {
  expect(GrantedAuthorizationDetails.safeParse([]).success).toBe(true);
  const said = (bytes: number) => GrantedAuthorizationDetails.safeParse(longest(bytes)).success;
  expect([
    said(limits.authorizationDetailsGrantedBytesMax),
    said(limits.authorizationDetailsGrantedBytesMax + 1),
  ]).toEqual([true, false]);
});
