import fc from 'fast-check';

import {
  generateSigningKey,
  InputInvalidError,
  sharedSignatureMessagesMax,
  signedFor,
  signedMessage,
  signer,
  signTogether,
  verifier,
} from './index.ts';

const { privateJwk, publicJwk } = generateSigningKey();
const key = signer(privateJwk);
const { verify } = verifier(publicJwk);

const messages = (count: number) =>
  Array.from({ length: count }, (_, index) => signedMessage('postern.test.v1', `a.${index}`, Buffer.from('{}')));

function holds(message: Uint8Array, signature: string): boolean {
  const signed = signedFor(message, signature);
  return signed !== undefined && verify(signed.bytes, signed.signature);
}

const partsOf = (signature: string) => signature.split('.') as [string, string, string, string];

describe('messages that are signed together', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])('%i of them: each is checked by itself, for no other message', (count) => {
    const all = messages(count);
    const signatures = signTogether(key, all);
    for (const [index, signature] of signatures.entries()) {
      expect(all.map((message) => holds(message, signature))).toEqual(all.map((_, other) => other === index));
    }
  });

  test('one alone is signed as ever, several by one signature', () => {
    const [alone = ''] = signTogether(key, messages(1));
    expect(alone).toBe(key.sign(messages(1)[0] ?? Buffer.of()));
    const shared = signTogether(key, messages(sharedSignatureMessagesMax));
    expect(new Set(shared.map((signature) => partsOf(signature)[0])).size).toBe(1);
    expect(shared.map((signature) => signature.length)).toEqual(Array(8).fill(86 + '.0.8.'.length + 3 * 43));
  });

  test('what is checked is the same for all of them, so it is checked once where it is remembered', () => {
    const all = messages(5);
    const heads = signTogether(key, all).map((signature, index) => signedFor(all[index] ?? Buffer.of(), signature));
    expect(new Set(heads.map((head) => Buffer.from(head?.bytes ?? []).toString())).size).toBe(1);
  });

  test('a place, a size, a proof or a signature of another is refused', () => {
    const all = messages(6);
    const [first = '', second = ''] = signTogether(key, all);
    const [signature, index, size, proof] = partsOf(first);
    const message = all[0] ?? Buffer.of();
    const others = [
      `${signature}.1.${size}.${proof}`,
      `${signature}.${index}.7.${proof}`,
      `${signature}.${index}.${size}.${partsOf(second)[3]}`,
      `${signature}.${index}.${size}.${proof.slice(43)}`,
      `${signature}.${index}.${size}.${proof.slice(0, -43)}`,
      `${signature}.${index}.${size}.`,
      `${signature}.${index}.${size}`,
      signature,
      `${key.sign(message)}.${index}.${size}.${proof}`,
      `${first}.`,
      `${first}A`,
    ];
    expect(holds(message, first)).toBe(true);
    expect(others.map((other) => holds(message, other))).toEqual(others.map(() => false));
  });

  test('the head of a tree is no message, and a message no head', () => {
    const [one = Buffer.of(), two = Buffer.of()] = messages(2);
    const [shared = ''] = signTogether(key, [one, two]);
    const head = signedFor(one, shared);
    // Whoever shows the head itself as a message has a signature over it, but none of our readers makes such words.
    expect(head && Buffer.from(head.bytes).toString()).toMatch(
      /^postern\.shared-signature\.v1\nhead of 2\n[0-9a-f]{64}$/,
    );
  });

  test('another spelling of the same bytes is refused', () => {
    const [message = Buffer.of()] = messages(1);
    const shared = signTogether(key, [message, Buffer.from('other')])[0] ?? '';
    // The last character of 43 has two bits that stand for nothing.
    const respelled = `${shared.slice(0, -1)}${String.fromCharCode(shared.charCodeAt(shared.length - 1) + 1)}`;
    expect(holds(message, shared)).toBe(true);
    expect(holds(message, respelled)).toBe(false);
  });

  test('whatever is shown as a signature throws nothing and opens nothing', () => {
    const message = messages(1)[0] ?? Buffer.of();
    const text = fc.oneof(fc.string(), fc.stringMatching(/^[\w-]{86}\.[0-9]\.[0-9]\.[\w-]{0,130}$/));
    fc.assert(fc.property(text, (shown) => !holds(message, shown)));
  });

  test('none and too many share none', () => {
    for (const count of [0, sharedSignatureMessagesMax + 1]) {
      expect(() => signTogether(key, messages(count))).toThrow(InputInvalidError);
    }
  });
});
