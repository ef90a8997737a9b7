import { format, inspect } from 'node:util';
import { deserialize, serialize } from 'node:v8';
import { Secret } from './index.ts';

const value = 'canary-5f2c';
const secret = Secret.from(value);
const bytes = Secret.from(Buffer.from(value));

type Printed = Secret | Secret<Uint8Array>;

/** Every way we know by which a value gets into a log, an error or another process. */
const printers: Readonly<Record<string, (it: Printed) => string>> = {
  template: (it) => `is ${String(it)}`,
  concatenation: (it) => 'is: '.concat(String(it)),
  number: (it) => String(Number(it)),
  json: (it) => JSON.stringify({ it, list: [it] }),
  inspect: (it) => inspect({ it }, { depth: 9, showHidden: true, customInspect: true }),
  'inspect without its custom method': (it) => inspect(it, { showHidden: true, customInspect: false }),
  format: (it) => format('%s %o %O %j %d', it, it, it, it, it),
  'error message': (it) => inspect(new Error(`no ${String(it)}`, { cause: it })),
  'own properties': (it) => JSON.stringify([Object.entries(it), Object.getOwnPropertyNames(it), Object.assign({}, it)]),
  'structured clone': (it) => inspect(structuredClone(it), { showHidden: true }),
  'v8 serialization': (it) => serialize(it).toString('latin1') + inspect(deserialize(serialize(it))),
};

describe('a secret', () => {
  test.each(Object.entries(printers))('does not print through %s', (_name, print) => {
    for (const it of [secret, bytes]) {
      const printed = print(it);
      expect(printed).not.toContain(value);
      expect(printed).not.toContain(Buffer.from(value).toString('hex'));
      expect(printed).not.toContain(inspect(Buffer.from(value)).slice(8, -1));
    }
  });

  test('says that it is one', () => {
    expect([String(secret), JSON.stringify(secret), inspect(secret)]).toEqual(['[secret]', '"[secret]"', '[secret]']);
  });

  test('is revealed on request only', () => {
    expect(secret.reveal()).toBe(value);
    expect(Buffer.from(bytes.reveal()).toString()).toBe(value);
  });

  test('keeps its bytes when the original is zeroed', () => {
    const original = Buffer.from(value);
    const kept = Secret.from(original);
    original.fill(0);
    expect(kept.equals(value)).toBe(true);
  });

  test('equals the same value, secret or plain, and nothing else', () => {
    expect([secret.equals(value), secret.equals(bytes), secret.equals(Secret.from(value))]).toEqual([true, true, true]);
    expect([secret.equals(`${value} `), secret.equals(''), secret.equals('[secret]')]).toEqual([false, false, false]);
  });

  test('wrapped twice is wrapped once', () => {
    expect(Secret.from(secret)).toBe(secret);
  });
});
