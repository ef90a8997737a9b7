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

describe('what is signed in company', () => {
  const wordsOf = (count: number) => Array.from({ length: count }, (_, index) => Buffer.from(`words ${index}`));
  const together = async (all: readonly Uint8Array[]) =>
    await Promise.all(all.map(async (bytes) => await signer.signTogether(bytes)));
  const distinct = (signatures: readonly string[]) => new Set(signatures.map((one) => one.split('.')[0])).size;

  test('shares a signature by eights, and whoever is alone has one of his own', async () => {
    expect(await together([words])).toEqual([signature]);
    const all = wordsOf(17);
    const signatures = await together(all);
    expect(distinct(signatures)).toBe(3);
    expect(signatures.map((one) => one.includes('.'))).toEqual(all.map((_, index) => index < 16));
    const verifier = commitVerifier(trust);
    for (const [index, bytes] of all.entries()) {
      expect(verifier.verify(signer.keyId, () => bytes, signatures[index] ?? '')).toEqual({ identity: 'vault' });
    }
  });

  test('what is asked later is signed later', async () => {
    const [first, second] = [await signer.signTogether(words), await signer.signTogether(words)];
    expect([first, second]).toEqual([signature, signature]);
  });

  test('is checked once where it is remembered, and never believed for other words', async () => {
    const all = wordsOf(8);
    const signatures = await together(all);
    const verifier = commitVerifier(trust, { rememberedMax: 1 });
    const verified = (bytes: Uint8Array, given = '') => verifier.verify(signer.keyId, () => bytes, given)?.identity;
    expect(all.map((bytes, index) => verified(bytes, signatures[index]))).toEqual(all.map(() => 'vault'));
    expect(all.map((bytes, index) => verified(bytes, signatures[(index + 1) % 8]))).toEqual(all.map(() => undefined));
    expect(verified(Buffer.from('words 9'), signatures[0])).toBeUndefined();
  });
});
