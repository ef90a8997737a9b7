import * as fc from 'fast-check';
import {
  CiphertextInvalidError,
  cookieValueBytesMax,
  decryptAead,
  encryptAead,
  InputInvalidError,
  KeyInvalidError,
  openCookie,
  sealCookie,
} from './index.ts';

const key = Buffer.alloc(32, 1);
const otherKey = Buffer.alloc(32, 2);

describe('AES-256-GCM', () => {
  test('what was encrypted opens under the same key and additional data', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array(), (plaintext, additionalData) => {
        const sealed = encryptAead({ key, plaintext, additionalData });
        expect(decryptAead({ key, sealed, additionalData })).toEqual(Buffer.from(plaintext));
      }),
    );
  });

  test('any flipped bit is refused', () => {
    const sealed = encryptAead({ key, plaintext: Buffer.from('plain'), additionalData: 'row' });
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(() => decryptAead({ key, sealed: changed, additionalData: 'row' })).toThrow(CiphertextInvalidError);
    }
  });

  test('any truncation is refused', () => {
    const sealed = encryptAead({ key, plaintext: Buffer.from('plain'), additionalData: 'row' });
    for (let length = 0; length < sealed.length; length += 1) {
      const cut = sealed.subarray(0, length);
      expect(() => decryptAead({ key, sealed: cut, additionalData: 'row' })).toThrow(CiphertextInvalidError);
    }
  });

  test('another key or other additional data does not open', () => {
    const sealed = encryptAead({ key, plaintext: Buffer.from('plain'), additionalData: 'row' });
    expect(() => decryptAead({ key: otherKey, sealed, additionalData: 'row' })).toThrow(CiphertextInvalidError);
    expect(() => decryptAead({ key, sealed, additionalData: 'other' })).toThrow(CiphertextInvalidError);
    expect(() => decryptAead({ key, sealed, additionalData: '' })).toThrow(CiphertextInvalidError);
  });

  test('a key that is not 32 bytes is refused', () => {
    const short = Buffer.alloc(16);
    expect(() => encryptAead({ key: short, plaintext: key, additionalData: '' })).toThrow(KeyInvalidError);
    expect(() => decryptAead({ key: short, sealed: Buffer.alloc(40, 1), additionalData: '' })).toThrow(KeyInvalidError);
  });

  test('no IV is used twice', () => {
    const ivs = Array.from({ length: 1_000 }, () =>
      encryptAead({ key, plaintext: key, additionalData: '' }).subarray(1, 13).toString('hex'),
    );
    expect(new Set(ivs).size).toBe(ivs.length);
  });
});

describe('a sealed cookie', () => {
  const name = 'postern_session';

  test('comes back as the JSON it was', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const sealed = sealCookie({ key, name, value });
        expect(sealed).toMatch(/^[\w-]+$/);
        expect(JSON.stringify(openCookie({ key, name, sealed }))).toBe(JSON.stringify(value));
      }),
      { numRuns: 50 },
    );
  });

  test('does not open changed, under another key, as another cookie, or when it is anything else', () => {
    const sealed = sealCookie({ key, name, value: { state: 'x' } });
    const last = sealed.endsWith('A') ? 'B' : 'A';
    const attempts = [
      { key, name, sealed: `${sealed.slice(0, -1)}${last}` },
      { key: otherKey, name, sealed },
      { key, name: 'postern_other', sealed },
      { key, name, sealed: `${sealed}=` },
      { key, name, sealed: '' },
      { key, name, sealed: 'A'.repeat(cookieValueBytesMax + 4) },
    ];
    for (const attempt of attempts) expect(() => openCookie(attempt)).toThrow(CiphertextInvalidError);
  });

  test('longer than a browser keeps is refused, and so is what is no JSON', () => {
    expect(() => sealCookie({ key, name, value: 'x'.repeat(cookieValueBytesMax) })).toThrow(InputInvalidError);
    expect(() => sealCookie({ key, name, value: undefined })).toThrow(InputInvalidError);
  });
});
