import { createCipheriv, createPrivateKey, createPublicKey } from 'node:crypto';
import * as fc from 'fast-check';
import { CompactEncrypt, compactDecrypt, importJWK } from 'jose';
import {
  CiphertextInvalidError,
  generateSealingKey,
  InputInvalidError,
  jweCharactersMax,
  KeyInvalidError,
  openJwe,
  opener,
  parseRecipientKey,
  sealJwe,
} from './index.ts';
import { concatKdf, sharedSecret } from './key-agreement.ts';

const { privateJwk, publicJwk } = generateSealingKey();
const plaintext = Buffer.from('access token');
const ours = { alg: 'ECDH-ES', enc: 'A256GCM' } as const;

/** A compact JWE whose protected header was replaced: what an attacker on the bus can make. */
function withHeader(compact: string, change: (header: Record<string, unknown>) => object): string {
  const [header = '', ...rest] = compact.split('.');
  const changed = change(JSON.parse(Buffer.from(header, 'base64url').toString()));
  return [Buffer.from(JSON.stringify(changed)).toString('base64url'), ...rest].join('.');
}

/** A JWE whose key, IV and tag are right, whatever its header says: only the header's own checks can refuse it. */
function sealedAs({ header, keyPart = '' }: { header: object; keyPart?: string }): string {
  const ephemeral = generateSealingKey();
  const secret = sharedSecret(
    createPrivateKey({ key: { ...ephemeral.privateJwk }, format: 'jwk' }),
    createPublicKey({ key: { ...publicJwk }, format: 'jwk' }),
  );
  const { kty, crv, x, d } = ephemeral.privateJwk;
  const told = JSON.stringify({ ...ours, epk: { kty, crv, x }, ...header }).replace('"own private part"', `"${d}"`);
  const headerPart = Buffer.from(told.replace('"own x"', `"${x}"`)).toString('base64url');
  const contentKey = concatKdf({ secret, algorithm: 'A256GCM', keyBits: 256 });
  const cipher = createCipheriv('aes-256-gcm', contentKey, Buffer.alloc(12));
  cipher.setAAD(Buffer.from(headerPart));
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  const parts = [Buffer.alloc(12), ciphertext, cipher.getAuthTag()];
  return [headerPart, keyPart, ...parts.map((part) => part.toString('base64url'))].join('.');
}

async function josesJwe(header: object): Promise<string> {
  const key = await importJWK({ ...publicJwk }, 'ECDH-ES');
  return new CompactEncrypt(plaintext).setProtectedHeader({ ...ours, ...header }).encrypt(key);
}

describe('key derivation', () => {
  test('Concat KDF answers RFC 7518 Appendix C', () => {
    const secret = Buffer.from([
      158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156, 251, 49, 110, 163, 218, 128, 106, 72,
      246, 218, 167, 121, 140, 254, 144, 196,
    ]);
    const [apu, apv] = [Buffer.from('Alice'), Buffer.from('Bob')];
    const derived = concatKdf({ secret, algorithm: 'A128GCM', keyBits: 128, apu, apv });
    expect(derived.toString('base64url')).toBe('VqqN6vgjbSBcIijNcacQGg');
    expect(secret).toEqual(Buffer.alloc(32));
  });

  test('X25519 answers RFC 8037 Appendix A.6', () => {
    const bob = { kty: 'OKP', crv: 'X25519', x: '3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08' };
    const ephemeral = {
      kty: 'OKP',
      crv: 'X25519',
      x: 'hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo',
      d: 'dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo',
    };
    const secret = sharedSecret(
      createPrivateKey({ key: ephemeral, format: 'jwk' }),
      createPublicKey({ key: bob, format: 'jwk' }),
    );
    expect(secret.toString('hex')).toBe('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742');
  });
});

describe('a sealed token', () => {
  test('opens with jose, header and all', async () => {
    const protectedHeader = { cty: 'JWT', lse: 'lse_1', con: 'con_1', ver: 3, exp: 1_700_000_000 };
    const compact = sealJwe({
      plaintext,
      recipient: publicJwk,
      protectedHeader,
      apu: 'ten_a',
      apv: Buffer.from('con_1'),
    });
    const opened = await compactDecrypt(compact, await importJWK(privateJwk, 'ECDH-ES'));
    expect(Buffer.from(opened.plaintext)).toEqual(plaintext);
    expect(opened.protectedHeader).toMatchObject({ ...ours, ...protectedHeader, kid: publicJwk.kid });
  });

  test('made by jose opens with ours, also with party info', async () => {
    expect(openJwe(privateJwk, await josesJwe({})).plaintext).toEqual(plaintext);
    const key = await importJWK({ ...publicJwk }, 'ECDH-ES');
    const compact = await new CompactEncrypt(plaintext)
      .setProtectedHeader({ ...ours, kid: publicJwk.kid })
      .setKeyManagementParameters({ apu: Buffer.from('Alice'), apv: Buffer.from('Bob') })
      .encrypt(key);
    expect(openJwe(privateJwk, compact)).toMatchObject({ plaintext, protectedHeader: { kid: publicJwk.kid } });
  });

  test('comes back as it was, whatever it was', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), fc.jsonValue(), (bytes, apu, member) => {
        const compact = sealJwe({ plaintext: bytes, recipient: publicJwk, protectedHeader: { member }, apu });
        const opened = openJwe(privateJwk, compact);
        expect(opened.plaintext).toEqual(Buffer.from(bytes));
        expect(JSON.stringify(opened.protectedHeader['member'])).toBe(JSON.stringify(member));
      }),
      { numRuns: 50 },
    );
  });

  test('with any one character changed is refused', () => {
    const compact = sealJwe({ plaintext, recipient: publicJwk, protectedHeader: { ver: 1 } });
    for (let at = 0; at < compact.length; at += 1) {
      for (const character of ['A', 'B', '.', '_']) {
        if (compact[at] === character) continue;
        const changed = `${compact.slice(0, at)}${character}${compact.slice(at + 1)}`;
        expect(() => openJwe(privateJwk, changed)).toThrow(CiphertextInvalidError);
      }
    }
  });

  test('whose header was rewritten is refused: every member is bound', () => {
    const compact = sealJwe({ plaintext, recipient: publicJwk, protectedHeader: { con: 'con_a', ver: 1 } });
    expect(
      openJwe(
        privateJwk,
        withHeader(compact, (header) => header),
      ).plaintext,
    ).toEqual(plaintext);
    for (const change of [{ con: 'con_b' }, { ver: 2 }, { extra: 1 }, { apu: 'AA' }]) {
      const changed = withHeader(compact, (header) => ({ ...header, ...change }));
      expect(() => openJwe(privateJwk, changed)).toThrow(CiphertextInvalidError);
    }
  });

  test('to another key is refused', () => {
    const compact = sealJwe({ plaintext, recipient: { ...publicJwk, kid: undefined } });
    expect(() => openJwe(generateSealingKey().privateJwk, compact)).toThrow(CiphertextInvalidError);
  });

  test('with a reserved header member is not made', () => {
    for (const name of ['alg', 'enc', 'epk', 'apu', 'apv', 'zip', 'crit']) {
      const seal = () => sealJwe({ plaintext, recipient: publicJwk, protectedHeader: { [name]: 'x' } });
      expect(seal).toThrow(InputInvalidError);
    }
  });
});

describe('an opener', () => {
  test('chooses among its keys by kid, so a key can be rotated', () => {
    const older = generateSealingKey();
    const { open, keyIds } = opener(privateJwk, older.privateJwk);
    expect(keyIds).toEqual([publicJwk.kid, older.publicJwk.kid]);
    for (const recipient of [publicJwk, older.publicJwk]) {
      expect(open(sealJwe({ plaintext, recipient })).plaintext).toEqual(plaintext);
    }
  });

  test('refuses a kid it does not hold', () => {
    const compact = sealJwe({ plaintext, recipient: { ...publicJwk, kid: 'other' } });
    expect(() => openJwe(privateJwk, compact)).toThrow(CiphertextInvalidError);
  });

  test('refuses a private key that is none, or of another curve', () => {
    expect(() => opener({ ...privateJwk, d: 'AA' })).toThrow(KeyInvalidError);
    expect(() => opener({ ...privateJwk, x: generateSealingKey().publicJwk.x })).toThrow(KeyInvalidError);
  });

  test('refuses other algorithms and extensions that jose made honestly', async () => {
    const key = await importJWK({ ...publicJwk }, 'ECDH-ES+A256KW');
    const wrapped = await new CompactEncrypt(plaintext)
      .setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM' })
      .encrypt(key);
    const critical = await new CompactEncrypt(plaintext)
      .setProtectedHeader({ ...ours, crit: ['must'], must: 1 })
      .encrypt(key, { crit: { must: true } });
    const others = [await josesJwe({ enc: 'A128GCM' }), await josesJwe({ enc: 'A256CBC-HS512' }), wrapped, critical];
    for (const compact of others) expect(() => openJwe(privateJwk, compact)).toThrow(CiphertextInvalidError);
  });

  test('refuses by the header alone what would otherwise open', () => {
    expect(openJwe(privateJwk, sealedAs({ header: {} })).plaintext).toEqual(plaintext);
    const headers = [
      { zip: 'DEF' },
      { crit: [] },
      { crit: ['exp'], exp: 1 },
      { alg: 'dir' },
      { alg: 'ECDH-ES+A256KW' },
      { alg: undefined },
      { enc: 'A128GCM' },
      { enc: ['A256GCM'] },
      { epk: { kty: 'OKP', crv: 'X25519', x: 'own x', d: 'own private part' } },
      { epk: { kty: 'OKP', crv: 'X25519', x: 'own x', use: 'sig' } },
      { kid: 7 },
      { apu: 1 },
    ];
    for (const header of headers) {
      expect(() => openJwe(privateJwk, sealedAs({ header }))).toThrow(CiphertextInvalidError);
    }
    expect(() => openJwe(privateJwk, sealedAs({ header: {}, keyPart: 'AA' }))).toThrow(CiphertextInvalidError);
  });

  test('refuses compression and ephemeral keys that are of low order, foreign or private', () => {
    const compact = sealJwe({ plaintext, recipient: publicJwk });
    const zeros = Buffer.alloc(32).toString('base64url');
    const changes = [
      { zip: 'DEF' },
      { epk: undefined },
      { epk: { kty: 'OKP', crv: 'X25519', x: zeros } },
      { epk: { kty: 'EC', crv: 'P-256', x: zeros, y: zeros } },
      { epk: generateSealingKey().privateJwk },
    ];
    for (const change of changes) {
      const changed = withHeader(compact, (header) => ({ ...header, ...change }));
      expect(() => openJwe(privateJwk, changed)).toThrow(CiphertextInvalidError);
    }
  });

  test('refuses what is no JWE, and what is too long to look at', () => {
    const texts = ['', '....', 'a.b.c.d.e', 'e30..AAAAAAAAAAAAAAAA.AA.AAAAAAAAAAAAAAAAAAAAAA', 'bnVsbA....'];
    for (const text of texts) expect(() => openJwe(privateJwk, text)).toThrow(CiphertextInvalidError);
    const long = sealJwe({ plaintext: Buffer.alloc(jweCharactersMax), recipient: publicJwk });
    expect(() => openJwe(privateJwk, long)).toThrow(CiphertextInvalidError);
    fc.assert(
      fc.property(fc.string({ maxLength: 80 }), (text) => {
        expect(() => openJwe(privateJwk, text)).toThrow(CiphertextInvalidError);
      }),
    );
  });
});

const littleEndian = (value: bigint) => {
  const bytes = Buffer.alloc(32);
  for (let at = 0; at < 32; at += 1) bytes[at] = Number((value >> BigInt(8 * at)) & 0xffn);
  return bytes;
};

describe("a stranger's key to seal to", () => {
  const p = 2n ** 255n - 19n;
  const topBit = 2n ** 255n;
  const order8 = [
    325606250916557431795983626356110631294008115727848805560023387167927233504n,
    39382357235489614581723060781553021112529911719440698176882885853963445705823n,
  ];
  const points = [0n, 1n, p - 1n, p, p + 1n, ...order8].flatMap((point) => [point, point + topBit]);

  test('is reduced to what we use', () => {
    const jwk = { ...publicJwk, use: 'enc', alg: 'ECDH-ES', key_ops: [], extra: 1 };
    expect(parseRecipientKey(jwk)).toEqual(publicJwk);
    expect(parseRecipientKey({ kty: 'OKP', crv: 'X25519', x: publicJwk.x })).not.toHaveProperty('kid');
  });

  test.each(points.map((point) => littleEndian(point).toString('hex')))('of low order is refused: %s', (hex) => {
    const jwk = { kty: 'OKP', crv: 'X25519', x: Buffer.from(hex, 'hex').toString('base64url') };
    expect(() => parseRecipientKey(jwk)).toThrow('a point of low order');
    const privateKey = createPrivateKey({ key: { ...privateJwk }, format: 'jwk' });
    const publicKey = createPublicKey({ key: jwk, format: 'jwk' });
    expect(() => sharedSecret(privateKey, publicKey)).toThrow(KeyInvalidError);
  });

  test.each([
    undefined,
    null,
    'text',
    [],
    {},
    { ...publicJwk, kty: 'EC' },
    { ...publicJwk, crv: 'Ed25519' },
    { ...publicJwk, crv: 'X448' },
    { ...publicJwk, x: 'AA' },
    { ...publicJwk, x: `${publicJwk.x}=` },
    { ...publicJwk, x: 1 },
    { ...publicJwk, kid: 1 },
    { ...publicJwk, kid: 'k'.repeat(257) },
    { ...publicJwk, use: 'sig' },
    { ...publicJwk, alg: 'ECDH-ES+A256KW' },
    privateJwk,
  ])('that is none is refused: case %#', (jwk) => {
    expect(() => parseRecipientKey(jwk)).toThrow(KeyInvalidError);
  });
});
