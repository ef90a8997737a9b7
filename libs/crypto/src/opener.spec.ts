import {
  CiphertextInvalidError,
  generateSealingKey,
  openingKeyAgeMsMax,
  openingKeysMax,
  Sealer,
  sealJwe,
} from './index.ts';
import { KeepingOpener } from './jwe-open.ts';

const { privateJwk, publicJwk } = generateSealingKey();
const plaintext = Buffer.from('access token');

function setUp() {
  const clock = { nowMs: 0 };
  return { clock, keeper: new KeepingOpener([privateJwk], () => clock.nowMs) };
}

const fresh = (more: object = {}) => sealJwe({ recipient: publicJwk, plaintext, ...more });

/** The same with one character of a part replaced by another. */
function changed(compact: string, part: number): string {
  const parts = compact.split('.');
  const text = parts[part] ?? '';
  parts[part] = (text.startsWith('A') ? 'B' : 'A') + text.slice(1);
  return parts.join('.');
}

describe('an opener', () => {
  test('holds one key for a sender that keeps its own, and opens all that comes', () => {
    const { keeper } = setUp();
    const sealer = new Sealer();
    const sealed = [1, 2, 3].map((ver) =>
      sealer.seal({ scope: 'ten_a', recipient: publicJwk, plaintext, protectedHeader: { ver } }),
    );
    expect(sealed.map((compact) => keeper.open(compact).protectedHeader['ver'])).toEqual([1, 2, 3]);
    expect(keeper.open(sealed[1] ?? '').plaintext.toString()).toBe('access token');
    expect(keeper.keysHeld).toBe(1);
    sealer.clear();
  });

  test('tells senders, parties and keys apart', () => {
    const other = generateSealingKey();
    const keeper = new KeepingOpener([privateJwk, other.privateJwk], () => 0);
    const all = [fresh(), fresh(), fresh({ apu: 'a' }), fresh({ apv: 'a' }), fresh({ recipient: other.publicJwk })];
    for (const compact of [...all, ...all]) expect(keeper.open(compact).plaintext.toString()).toBe('access token');
    expect(keeper.keysHeld).toBe(all.length);
  });

  test('refuses what was changed, with the key it holds as without', () => {
    const { keeper } = setUp();
    const compact = fresh();
    for (const known of [false, true]) {
      for (const part of [0, 2, 3, 4]) {
        expect(() => keeper.open(changed(compact, part))).toThrow(CiphertextInvalidError);
      }
      expect(keeper.keysHeld).toBe(known ? 1 : 0);
      keeper.open(compact);
    }
  });

  test('keeps no key that has opened nothing', () => {
    const { keeper } = setUp();
    const compact = fresh();
    expect(() => keeper.open(changed(compact, 4))).toThrow(CiphertextInvalidError);
    expect(keeper.keysHeld).toBe(0);
  });

  test('holds a key for its time, and so many at once', () => {
    const { clock, keeper } = setUp();
    for (let made = 0; made <= openingKeysMax; made += 1) keeper.open(fresh());
    expect(keeper.keysHeld).toBe(openingKeysMax);
    clock.nowMs = openingKeyAgeMsMax;
    const compact = fresh();
    keeper.open(compact);
    expect(keeper.keysHeld).toBe(1);
    keeper.clear();
    expect(keeper.keysHeld).toBe(0);
    expect(keeper.open(compact).plaintext.toString()).toBe('access token');
  });
});
