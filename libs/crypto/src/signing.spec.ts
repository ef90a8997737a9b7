import { CompactSign, compactVerify, importJWK } from 'jose';
import {
  generateSealingKey,
  generateSigningKey,
  InputInvalidError,
  jwkThumbprint,
  KeyInvalidError,
  publicJwkOf,
  signedMessage,
  signer,
  verifier,
} from './index.ts';

/** RFC 8037 Appendix A.1 */
const rfc8037 = {
  kty: 'OKP',
  crv: 'Ed25519',
  d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A',
  x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
} as const;

describe('key names', () => {
  test('a thumbprint is that of RFC 7638 §3.1', () => {
    const rsa = {
      kty: 'RSA',
      n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
      e: 'AQAB',
      alg: 'RS256',
      kid: '2011-04-29',
    };
    expect(jwkThumbprint(rsa)).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
  });

  test('a thumbprint is that of RFC 8037 Appendix A.3, private part or not', () => {
    expect(jwkThumbprint(rfc8037)).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
    expect(jwkThumbprint(publicJwkOf(rfc8037))).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
  });

  test.each([{ kty: 'oct', k: 'AA' }, { kty: 'OKP', crv: 'Ed25519' }, {}])('%j has none', (jwk) => {
    expect(() => jwkThumbprint(jwk)).toThrow(KeyInvalidError);
  });

  test('a fresh key is named by its thumbprint, and its public part holds nothing private', () => {
    const { privateJwk, publicJwk } = generateSigningKey();
    expect(publicJwk.kid).toBe(jwkThumbprint(publicJwk));
    expect(signer(privateJwk).keyId).toBe(publicJwk.kid);
    expect(verifier(publicJwk).keyId).toBe(publicJwk.kid);
    expect(Object.keys(publicJwk).toSorted()).toEqual(['crv', 'kid', 'kty', 'x']);
  });
});

describe('signatures', () => {
  const { privateJwk, publicJwk } = generateSigningKey();
  const bytes = signedMessage('postern commit', 'connection.1.ten_a.con_a', Buffer.from('{}'));

  test('the signature is that of RFC 8037 Appendix A.4', () => {
    const signingInput = Buffer.from('eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc');
    const expected = 'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg';
    expect(signer(rfc8037).sign(signingInput)).toBe(expected);
    expect(verifier(publicJwkOf(rfc8037)).verify(signingInput, expected)).toBe(true);
  });

  test('jose verifies ours and we verify its', async () => {
    const jws = await new CompactSign(bytes)
      .setProtectedHeader({ alg: 'EdDSA' })
      .sign(await importJWK(privateJwk, 'EdDSA'));
    const [header = '', payload = '', signature = ''] = jws.split('.');
    expect(verifier(publicJwk).verify(Buffer.from(`${header}.${payload}`), signature)).toBe(true);
    const ours = signer(privateJwk).sign(Buffer.from(`${header}.${payload}`));
    const { payload: verified } = await compactVerify(
      `${header}.${payload}.${ours}`,
      await importJWK({ ...publicJwk }, 'EdDSA'),
    );
    expect(Buffer.from(verified)).toEqual(bytes);
  });

  test('any other bytes, key or spelling of the signature is refused without an error', () => {
    const signature = signer(privateJwk).sign(bytes);
    const { verify } = verifier(publicJwk);
    expect(verify(bytes, signature)).toBe(true);
    for (const other of ['', 'x', `${signature}=`, `${signature}A`, signature.slice(0, -2), 'A'.repeat(86)]) {
      expect(verify(bytes, other)).toBe(false);
    }
    expect(verify(Buffer.concat([bytes, bytes]), signature)).toBe(false);
    expect(verifier(generateSigningKey().publicJwk).verify(bytes, signature)).toBe(false);
  });

  test('a signature for one context, subject or payload is none for another', () => {
    const payload = Buffer.from('{}');
    const signature = signer(privateJwk).sign(signedMessage('commit', 'a.b', payload));
    const { verify } = verifier(publicJwk);
    expect(verify(signedMessage('commit', 'a.b', payload), signature)).toBe(true);
    expect(verify(signedMessage('lease', 'a.b', payload), signature)).toBe(false);
    expect(verify(signedMessage('commit', 'a.c', payload), signature)).toBe(false);
    expect(verify(signedMessage('commit', 'a.b', Buffer.from('{ }')), signature)).toBe(false);
  });

  test('a line break in a signed line is refused', () => {
    expect(() => signedMessage('a\nb', 'c', bytes)).toThrow(InputInvalidError);
    expect(() => signedMessage('a', 'b\nc', bytes)).toThrow(InputInvalidError);
  });

  test('keys of another curve, mixed pairs and private keys to verify with are refused', () => {
    const sealing = generateSealingKey();
    expect(() => signer({ ...privateJwk, x: generateSigningKey().publicJwk.x })).toThrow(KeyInvalidError);
    expect(() => signer({ ...privateJwk, d: 'AA' })).toThrow(KeyInvalidError);
    // @ts-expect-error the type refuses another curve as well
    expect(() => signer(sealing.privateJwk)).toThrow(KeyInvalidError);
    // @ts-expect-error the type refuses another curve as well
    expect(() => verifier(sealing.publicJwk)).toThrow(KeyInvalidError);
    expect(() => verifier(privateJwk)).toThrow(KeyInvalidError);
  });
});
