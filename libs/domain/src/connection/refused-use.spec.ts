import { limits } from '@postern/contracts';

import { connected, exchanging, given, reauthorized, revoked, stateOf, the } from '../spec-support/connection.ts';
import { missingScopesOf, recordInsufficientScope, requireClaims } from './refused-use.ts';

describe('a grant that allows too little', () => {
  const needs = (...neededScopes: string[]) => ({ credentialVersion: 1, neededScopes, error: 'insufficient_scope' });
  const recorded = (...missingScopes: string[]) => the.scopeInsufficient({ missingScopes });

  test('is recorded with what was not granted, and with what is new alone', () => {
    given(connected)
      .when(recordInsufficientScope, needs('contacts.read', 'contacts.write'))
      .then([recorded('contacts.write')]);
    given([...connected, recorded('contacts.write')])
      .when(recordInsufficientScope, needs('contacts.write', 'admin'))
      .then([recorded('admin')]);
    expect(stateOf([...connected, recorded('contacts.write'), recorded('admin')]).credential?.missingScopes).toEqual([
      'contacts.write',
      'admin',
    ]);
  });

  test('is recorded once where nobody says what is missing', () => {
    given(connected).when(recordInsufficientScope, needs()).then([recorded()]);
    given([...connected, recorded()])
      .when(recordInsufficientScope, needs('contacts.read'))
      .thenNothing();
  });

  test('is no matter of another version, nor of what is not in use', () => {
    for (const history of [[...connected, ...reauthorized], revoked, exchanging]) {
      given(history).when(recordInsufficientScope, needs('admin')).thenNothing();
    }
  });

  test('remembers no more than a credential can hold', () => {
    const many = Array.from({ length: limits.scopesMax }, (_, index) => `scope-${index}`);
    const full = [...connected, recorded(...many)];
    given(full).when(recordInsufficientScope, needs('one-more')).thenNothing();
    expect(missingScopesOf(stateOf(full), ['one-more'])).toEqual(['one-more']);
  });
});

describe('claims that the provider wants', () => {
  const wants = { credentialVersion: 1, claims: '{"access_token":{}}' };

  test('need the end user; the next authorization forgets them', () => {
    given(connected).when(requireClaims, wants).then([the.claimsRequired()]);
    const required = [...connected, the.claimsRequired()];
    expect(stateOf(required)).toMatchObject({
      authorization: 'reauthorization_required',
      reauthorizationCause: 'insufficient_claims',
      credential: { requiredClaims: wants.claims },
    });
    expect(stateOf([...required, ...reauthorized])).toMatchObject({ authorization: 'authorized' });
    expect(stateOf([...required, ...reauthorized]).credential).not.toHaveProperty('requiredClaims');
  });

  test('of another version, or of what is not in use, need nobody', () => {
    for (const history of [[...connected, ...reauthorized], revoked, [...connected, the.claimsRequired()]]) {
      given(history).when(requireClaims, wants).thenNothing();
    }
  });
});
