import { jest } from '@jest/globals';
import {
  ephemeralKeyAgeMsMax,
  ephemeralKeySealsMax,
  generateSealingKey,
  HeaderMembers,
  InputInvalidError,
  KeyInvalidError,
  openJwe,
  Sealer,
  sealingContextsMax,
  type SealerOptions,
} from './index.ts';

const { privateJwk, publicJwk } = generateSealingKey();
const other = generateSealingKey();
const plaintext = Buffer.from('access token');

function setUp(options: SealerOptions = {}) {
  const clock = { nowMs: 0 };
  const sealer = new Sealer({ nowMs: () => clock.nowMs, ...options });
  const seal = (more: Partial<Parameters<Sealer['seal']>[0]> = {}) =>
    sealer.seal({ scope: 'ten_a', recipient: publicJwk, plaintext, ...more });
  return { clock, sealer, seal, ephemeral: (more = {}) => epkOf(seal(more)) };
}

function epkOf(compact: string): string {
  return JSON.parse(Buffer.from(compact.split('.')[0] ?? '', 'base64url').toString()).epk.x;
}

describe('a sealer', () => {
  test('seals what the recipient opens, each with its own header and IV', () => {
    const { seal } = setUp();
    const sealed = [1, 2, 3].map((ver) => seal({ protectedHeader: { ver } }));
    expect(sealed.map((compact) => openJwe(privateJwk, compact).protectedHeader['ver'])).toEqual([1, 2, 3]);
    expect(new Set(sealed.map((compact) => compact.split('.')[2])).size).toBe(3);
  });

  test('keeps one ephemeral key per recipient, scope and party info', () => {
    const { ephemeral, sealer } = setUp();
    expect(ephemeral()).toBe(ephemeral());
    const others = [{ scope: 'ten_b' }, { recipient: other.publicJwk }, { apu: 'x' }, { apu: '' }, { apv: 'x' }];
    expect(new Set([ephemeral(), ...others.map((more) => ephemeral(more))]).size).toBe(6);
    expect(sealer.size).toBe(6);
  });

  test('takes no two parties for one, however their names are spelled', () => {
    const { ephemeral, sealer } = setUp();
    const kids = [undefined, '', '-', '+', 'a', '.a', 'a.', '1.a'].map((kid) => ({ recipient: { ...publicJwk, kid } }));
    const scopes = ['a', 'a.', '.a', 'a.-', '1.a', ''].map((scope) => ({ scope }));
    const parties = [{ apu: 'a', apv: 'b' }, { apu: 'ab' }, { apv: 'ab' }, { apu: 'a.b' }, { apu: '', apv: '' }];
    const together = [
      { scope: 'a', recipient: { ...publicJwk, kid: 'k.-' } },
      { scope: 'a.+k', recipient: { ...publicJwk, kid: undefined } },
    ];
    const all = [...kids, ...scopes, ...parties, ...together].map((more) => ephemeral(more));
    expect(new Set(all).size).toBe(all.length);
    expect(sealer.size).toBe(all.length);
  });

  test('takes no second kid from its caller', () => {
    const { seal } = setUp();
    expect(() => seal({ protectedHeader: { kid: 'other' } })).toThrow(InputInvalidError);
    const compact = seal({ recipient: { ...publicJwk, kid: undefined }, protectedHeader: { kid: publicJwk.kid } });
    expect(openJwe(privateJwk, compact).protectedHeader['kid']).toBe(publicJwk.kid);
  });

  test('with its parties named seals under the same key as without, and only for them', () => {
    const { clock, ephemeral, sealer } = setUp();
    const to = sealer.to({ scope: 'ten_a', recipient: publicJwk });
    const compact = to.seal({ plaintext, protectedHeader: { ver: 7 } });
    expect(openJwe(privateJwk, compact)).toMatchObject({ plaintext, protectedHeader: { ver: 7 } });
    expect(epkOf(compact)).toBe(ephemeral());
    expect(epkOf(sealer.to({ scope: 'ten_b', recipient: publicJwk }).seal({ plaintext }))).not.toBe(ephemeral());
    clock.nowMs = ephemeralKeyAgeMsMax;
    expect(epkOf(to.seal({ plaintext }))).not.toBe(epkOf(compact));
  });

  test('takes a new ephemeral key when the old one has its age', () => {
    const { clock, ephemeral } = setUp();
    const first = ephemeral();
    clock.nowMs = ephemeralKeyAgeMsMax - 1;
    expect(ephemeral()).toBe(first);
    clock.nowMs = ephemeralKeyAgeMsMax;
    expect(ephemeral()).not.toBe(first);
  });

  test('takes a new ephemeral key after its number of seals', () => {
    const { ephemeral } = setUp({ ephemeralKeySeals: 2 });
    const keys = [1, 2, 3, 4].map(() => ephemeral());
    expect(keys[0]).toBe(keys[1]);
    expect(keys[2]).toBe(keys[3]);
    expect(keys[1]).not.toBe(keys[2]);
  });

  test('keeps no more derived keys than its bound, and lets the eldest go', () => {
    const { ephemeral, sealer } = setUp({ contexts: 2 });
    const [a, b] = [ephemeral({ scope: 'a' }), ephemeral({ scope: 'b' })];
    ephemeral({ scope: 'c' });
    expect(sealer.size).toBe(2);
    expect(ephemeral({ scope: 'b' })).toBe(b);
    expect(ephemeral({ scope: 'a' })).not.toBe(a);
  });

  test('lets expired keys go without another seal', () => {
    jest.useFakeTimers();
    try {
      const { clock, seal, sealer } = setUp();
      seal();
      clock.nowMs = ephemeralKeyAgeMsMax;
      jest.advanceTimersByTime(ephemeralKeyAgeMsMax);
      expect(sealer.size).toBe(0);
      expect(jest.getTimerCount()).toBe(0);
    } finally {
      jest.useRealTimers();
    }
  });

  test('cleared, holds nothing and still works', () => {
    const { ephemeral, sealer } = setUp();
    const before = ephemeral();
    sealer.clear();
    expect(sealer.size).toBe(0);
    expect(ephemeral()).not.toBe(before);
  });

  test('its limits can be lowered, not raised', () => {
    expect(ephemeralKeyAgeMsMax).toBe(60_000);
    expect(ephemeralKeySealsMax).toBe(1_048_576);
    const raised = [
      { ephemeralKeyAgeMs: ephemeralKeyAgeMsMax + 1 },
      { ephemeralKeySeals: ephemeralKeySealsMax + 1 },
      { contexts: sealingContextsMax + 1 },
      { contexts: 0 },
      { ephemeralKeyAgeMs: Number.NaN },
    ];
    for (const options of raised) expect(() => new Sealer(options)).toThrow(InputInvalidError);
  });

  test('refuses a recipient of low order and keeps nothing for it', () => {
    const { seal, sealer } = setUp();
    const recipient = { kty: 'OKP', crv: 'X25519', x: Buffer.alloc(32).toString('base64url') } as const;
    expect(() => seal({ recipient })).toThrow(KeyInvalidError);
    expect(sealer.size).toBe(0);
  });
});

describe('header members that were looked at once', () => {
  test('say what an object of them would', () => {
    const { seal } = setUp();
    const values = ['text/plain', 'lse_01', '', -0, 'ö "\\ \n\u2028', '\ud800', 1, -0.5, 1e21];
    const names = values.map((_, index) => `m"${index}`);
    const spelled = new HeaderMembers(...names).spell(...values);
    const object = Object.fromEntries(names.map((name, index) => [name, values[index]]));
    const headerOf = (protectedHeader: object) => {
      const {
        alg: _alg,
        enc: _enc,
        epk: _epk,
        kid: _kid,
        ...rest
      } = openJwe(privateJwk, seal({ protectedHeader: protectedHeader as never })).protectedHeader;
      return rest;
    };
    expect(headerOf(spelled)).toEqual(headerOf(object));
    expect(headerOf(new HeaderMembers().spell())).toEqual({});
  });

  test('are neither reserved nor named twice, and each has its value', () => {
    for (const names of [['cty', 'alg'], ['epk'], ['crit'], ['cty', 'cty']]) {
      expect(() => new HeaderMembers(...names)).toThrow(InputInvalidError);
    }
    for (const values of [['a'], ['a', 'b', 'c']]) {
      expect(() => new HeaderMembers('cty', 'lse').spell(...values)).toThrow(InputInvalidError);
    }
    const { seal } = setUp();
    expect(() => seal({ protectedHeader: new HeaderMembers('kid').spell('other') })).toThrow(InputInvalidError);
  });

  test('and what is sealed with them may be longer than what is put together at once', () => {
    const { seal } = setUp();
    for (const bytes of [0, 1, 11_000, 12_000, 13_000, 60_000]) {
      const long = Buffer.alloc(bytes, 'a');
      for (const characters of [0, 1_200, 1_400, 3_000, 13_000, 20_000]) {
        const about = 'ö'.repeat(characters);
        const opened = openJwe(
          privateJwk,
          seal({ plaintext: long, protectedHeader: new HeaderMembers('x').spell(about) }),
        );
        expect(opened.plaintext.equals(long)).toBe(true);
        expect(opened.protectedHeader['x']).toBe(about);
      }
    }
  });
});
