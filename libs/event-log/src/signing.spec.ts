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

describe('a verifier that is told what this process has signed', () => {
  const others = { writers: { vault: [{ ...generateSigningKey().publicJwk, kid: publicJwk.kid }] }, recipients: {} };
  const noSignature = 'made up, and so seen to be believed';

  test('checks the first one, and believes the rest', () => {
    const verifier = commitVerifier(trust, { rememberedMax: 4 });
    verifier.remember?.(signer.keyId, words, noSignature);
    expect(verifier.verify(signer.keyId, () => words, noSignature)).toBeUndefined();
    verifier.remember?.(signer.keyId, words, signature);
    verifier.remember?.(signer.keyId, words, noSignature);
    expect(verifier.verify(signer.keyId, () => words, noSignature)).toEqual({ identity: 'vault' });
    expect(verifier.verify(signer.keyId, () => Buffer.from('other words'), noSignature)).toBeUndefined();
  });

  test('believes nothing of a key that is not the one pinned', () => {
    const verifier = commitVerifier(others as unknown as TrustBundle, { rememberedMax: 4 });
    for (let turn = 0; turn < 2; turn += 1) verifier.remember?.(signer.keyId, words, signature);
    expect(verifier.verify(signer.keyId, () => words, signature)).toBeUndefined();
  });

  test('remembers nothing where it remembers nothing', () => {
    const verifier = commitVerifier(trust);
    for (const given of [signature, noSignature]) verifier.remember?.(signer.keyId, words, given);
    expect(verifier.verify(signer.keyId, () => words, noSignature)).toBeUndefined();
  });
});
