import * as fc from 'fast-check';
import {
  commitHash,
  constantTimeEqual,
  decodeBase64url,
  framed,
  hmacSha256,
  InputInvalidError,
  keyedDigest,
  sha256Hex,
} from './index.ts';

const key = Buffer.alloc(32, 7);
const parts = fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.uint8Array()), { maxLength: 4 });

const bytes = (list: readonly (string | Uint8Array)[]) => list.map((part) => Buffer.from(part).toString('hex'));

describe('hashing', () => {
  test('SHA-256 of parts is SHA-256 of their concatenation (FIPS 180-4 example)', () => {
    const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    expect(sha256Hex('abc')).toBe(abc);
    expect(sha256Hex('a', Buffer.from('b'), 'c')).toBe(abc);
  });

  test('HMAC-SHA-256 answers RFC 4231 test case 2', () => {
    expect(hmacSha256('Jefe', 'what do ya want ', 'for nothing?').toString('hex')).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    );
  });

  test('equality holds for equal values only, whatever their lengths', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (left, right) => {
        expect(constantTimeEqual(left, right)).toBe(Buffer.compare(left, right) === 0);
        expect(constantTimeEqual(left, Buffer.from(left))).toBe(true);
      }),
    );
  });

  test('a commit hash covers the subject and the payload as one text', () => {
    const hash = commitHash('connection.1.ten_a.con_a', Buffer.from('{}'));
    expect(hash).toBe(sha256Hex('connection.1.ten_a.con_a\n{}'));
    expect(commitHash('connection.1.ten_a.con_b', Buffer.from('{}'))).not.toBe(hash);
  });
});

describe('framing', () => {
  test('no two lists of parts have one framing', () => {
    fc.assert(
      fc.property(parts, parts, (left, right) => {
        expect(framed(...left).equals(framed(...right))).toBe(
          JSON.stringify(bytes(left)) === JSON.stringify(bytes(right)),
        );
      }),
    );
    expect(framed('ab', 'c')).not.toEqual(framed('a', 'bc'));
    expect(framed('', 'a')).not.toEqual(framed('a', ''));
  });

  test('text that UTF-8 would blur is refused', () => {
    expect(() => framed('\ud800')).toThrow(InputInvalidError);
  });

  test('base64url is taken in its one canonical spelling', () => {
    expect(decodeBase64url('AQ')).toEqual(Buffer.of(1));
    for (const text of ['AR', 'AQ==', 'A', 'A+', ' AQ', 1, undefined]) expect(decodeBase64url(text)).toBeUndefined();
  });
});

describe('a keyed digest', () => {
  test('is equal for equal parts under one key', () => {
    expect(keyedDigest(key, 'account', 'acme', '42')).toBe(keyedDigest(Buffer.from(key), 'account', 'acme', '42'));
    expect(keyedDigest(key, 'account', 'acme', '42')).toMatch(/^[\w-]{43}$/);
  });

  test('differs under another key and where parts are cut elsewhere', () => {
    const digest = keyedDigest(key, 'account', 'acme');
    expect(keyedDigest(Buffer.alloc(32, 8), 'account', 'acme')).not.toBe(digest);
    expect(keyedDigest(key, 'accounta', 'cme')).not.toBe(digest);
  });

  test('refuses a key that can be guessed', () => {
    expect(() => keyedDigest(Buffer.alloc(31), 'account')).toThrow(InputInvalidError);
  });
});
