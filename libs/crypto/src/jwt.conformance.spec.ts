import { createPublicKey, generateKeyPairSync } from 'node:crypto';

import { calculateJwkThumbprint, decodeProtectedHeader, exportJWK, exportPKCS8, importJWK, jwtVerify } from 'jose';

import { KeyInvalidError } from './errors.ts';
import { generateJwtKey, jwtSigner, parseJwtKey } from './jwt.ts';

describe.each(['ES256', 'EdDSA'] as const)('a JWT signed with %s', (algorithm) => {
  const signer = jwtSigner(generateJwtKey(algorithm));
  const claims = { iss: 'us', jti: 'once' };

  test('is what another library takes for one (RFC 7515 §5.2, RFC 7519 §7.2)', async () => {
    const jwt = signer.sign({ header: { kid: signer.publicJwk.kid, typ: 'JWT' }, claims });
    const key = await importJWK(signer.publicJwk);
    const { payload, protectedHeader } = await jwtVerify(jwt, key, { algorithms: [algorithm] });
    expect(payload).toEqual(claims);
    expect(protectedHeader).toEqual({ alg: algorithm, kid: signer.publicJwk.kid, typ: 'JWT' });
  });

  test('names its key by the thumbprint of RFC 7638, and its JWK has no private part', async () => {
    expect(signer.publicJwk.kid).toBe(await calculateJwkThumbprint(signer.publicJwk));
    expect(signer.publicJwk).toMatchObject({ use: 'sig', alg: algorithm });
    expect(signer.publicJwk).not.toHaveProperty('d');
  });

  test('does not verify when a claim was changed', async () => {
    const [header, , signature] = signer.sign({ header: {}, claims }).split('.');
    const other = Buffer.from(JSON.stringify({ ...claims, iss: 'them' })).toString('base64url');
    const forged = jwtVerify(`${header}.${other}.${signature}`, await importJWK(signer.publicJwk));
    await expect(forged).rejects.toMatchObject({ code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' });
  });
});

describe('a private key from elsewhere', () => {
  const pair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

  test('is read as PEM and as a JWK, to the same bytes', async () => {
    const key = pair();
    const pem = parseJwtKey(await exportPKCS8(key));
    expect(parseJwtKey(JSON.stringify(await exportJWK(key)))).toEqual(pem);
    const { protectedHeader } = await jwtVerify(jwtSigner(pem).sign({ header: {}, claims: {} }), createPublicKey(key));
    expect(protectedHeader).toEqual({ alg: 'ES256' });
    expect(decodeProtectedHeader(jwtSigner(pem).sign({ header: { alg: 'none' }, claims: {} })).alg).toBe('ES256');
  });

  test('of RSA signs with RS256, as another library reads it, and comes in three forms', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pkcs1 = privateKey.export({ format: 'pem', type: 'pkcs1' }).toString();
    const key = parseJwtKey(pkcs1);
    expect(parseJwtKey(JSON.stringify({ type: 'service_account', private_key: pkcs1 }))).toEqual(key);
    expect(parseJwtKey(JSON.stringify(await exportJWK(privateKey)))).toEqual(key);
    const signer = jwtSigner(key);
    const jwt = signer.sign({ header: { typ: 'JWT' }, claims: { iss: 'us' } });
    const { payload, protectedHeader } = await jwtVerify(jwt, publicKey, { algorithms: ['RS256'] });
    expect({ payload, protectedHeader }).toEqual({
      payload: { iss: 'us' },
      protectedHeader: { alg: 'RS256', typ: 'JWT' },
    });
    expect(signer.publicJwk.kid).toBe(await calculateJwkThumbprint(signer.publicJwk));
    expect(Object.keys(signer.publicJwk).toSorted()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use']);
  });

  test('of another curve, of another kind, public, encrypted or none at all is refused', async () => {
    const unfit = [
      generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey.export({ format: 'pem', type: 'pkcs8' }),
      generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ format: 'pem', type: 'pkcs8' }),
      generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey.export({ format: 'pem', type: 'pkcs8' }),
      JSON.stringify({ type: 'service_account', private_key: 'none' }),
      generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'pem', type: 'spki' }),
      pair().export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'secret' }),
      JSON.stringify({ kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', d: 'AA' }),
      '{',
      '',
    ];
    for (const text of unfit) expect(() => parseJwtKey(String(text))).toThrow(KeyInvalidError);
    expect(() => jwtSigner(Buffer.from('no key'))).toThrow(KeyInvalidError);
  });
});
