import type { TrustBundle } from '@postern/contracts';
import { generateSigningKey } from '@postern/crypto';

import { commitSigner, commitVerifier } from './signing.ts';

const { privateJwk, publicJwk } = generateSigningKey();
const trust = { writers: { vault: [publicJwk] }, recipients: {} } as unknown as TrustBundle;
const signer = commitSigner('vault', privateJwk);
const words = Buffer.from('what was signed');
const signature = signer.sign(words);

describe('a verifier that remembers', () => {
  const verifier = commitVerifier(trust, { rememberedMax: 2 });
  const verify = (keyId: string, bytes: Uint8Array, given: string) => verifier.verify(keyId, () => bytes, given);

  test('says the same again', () => {
    for (let turn = 0; turn < 3; turn += 1)
      expect(verify(signer.keyId, words, signature)).toEqual({ identity: 'vault' });
  });

  test('takes a right signature for no other words, no other key and no other signature', () => {
    expect(verify(signer.keyId, words, signature)).toEqual({ identity: 'vault' });
    expect(verify(signer.keyId, Buffer.from('what was signEd'), signature)).toBeUndefined();
    expect(verify(`refresh.${publicJwk.kid}`, words, signature)).toBeUndefined();
    expect(verify(signer.keyId, words, signer.sign(Buffer.from('something else')))).toBeUndefined();
  });

  test('never remembers a wrong one', () => {
    const wrong = `${signature.slice(0, -4)}AAAA`;
    for (let turn = 0; turn < 3; turn += 1) expect(verify(signer.keyId, words, wrong)).toBeUndefined();
  });

  test('forgets the eldest, and checks it anew', () => {
    for (const text of ['a', 'b', 'c']) {
      const bytes = Buffer.from(text);
      expect(verify(signer.keyId, bytes, signer.sign(bytes))).toEqual({ identity: 'vault' });
    }
    expect(verify(signer.keyId, words, signature)).toEqual({ identity: 'vault' });
  });
});
