import { codeChallengeS256, InputInvalidError, pkcePair, randomToken } from './index.ts';

describe('PKCE', () => {
  test('the challenge is that of RFC 7636 Appendix B', () => {
    expect(codeChallengeS256('dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk')).toBe(
      'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    );
  });

  test('a pair belongs together, fits the grammar of RFC 7636 §4.1 and is never seen again', () => {
    const { codeVerifier, codeChallenge, codeChallengeMethod } = pkcePair();
    expect(codeVerifier.reveal()).toMatch(/^[A-Za-z0-9._~-]{43,128}$/);
    expect(codeChallengeS256(codeVerifier.reveal())).toBe(codeChallenge);
    expect(codeChallengeMethod).toBe('S256');
    expect(pkcePair().codeVerifier.equals(codeVerifier)).toBe(false);
  });
});

describe('a random token', () => {
  test('has the entropy that was asked for', () => {
    expect(Buffer.from(randomToken(24), 'base64url')).toHaveLength(24);
    expect(new Set(Array.from({ length: 1_000 }, () => randomToken())).size).toBe(1_000);
  });

  test.each([15, 0, -1, 16.5, Number.NaN])('of %p bytes is refused', (bytes) => {
    expect(() => randomToken(bytes)).toThrow(InputInvalidError);
  });
});
