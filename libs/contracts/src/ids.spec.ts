import fc from 'fast-check';
import { TypeID } from 'typeid-js';

import { assertId, ConnectionId, derivedId, idPrefixes, isId, newId, type IdKind } from './index.ts';

const kinds = Object.keys(idPrefixes) as IdKind[];

test.each(kinds)('a new %s id is well-formed and of its own kind only', (kind) => {
  const id = newId(kind);
  expect(kinds.filter((other) => isId(other, id))).toEqual([kind]);
});

test('an id is what the TypeID library reads as one, of a UUIDv7 made now', () => {
  const since = Date.now();
  const ids = Array.from({ length: 1_000 }, () => newId('lease'));
  const until = Date.now();
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) {
    const uuid = TypeID.fromString(id).toUUID();
    const madeAtMs = Number.parseInt(uuid.slice(0, 13).replace('-', ''), 16);
    expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(madeAtMs >= since && madeAtMs <= until).toBe(true);
  }
});

test('ids sort by the time they were made', async () => {
  const first = newId('connection');
  const since = Date.now();
  while (Date.now() <= since + 1) await new Promise(setImmediate);
  expect(first < newId('connection')).toBe(true);
});

test('nothing that holds a subject wildcard or separator is an id', () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom('*', '>', '.', ' ', '\n'), (text, bad) => {
      expect(isId('connection', `con_${text}${bad}`)).toBe(false);
      expect(ConnectionId.safeParse(`con_${text}${bad}`).success).toBe(false);
    }),
  );
});

test('an id of another kind is refused with a code', () => {
  expect(() => assertId('connection', newId('tenant'))).toThrow(expect.objectContaining({ code: 'request.malformed' }));
});

test('an id made of given bytes is always the same one, of its own kind, and a UUIDv8', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 32 }), (bytes) => {
      const id = derivedId('connection', bytes);
      expect(isId('connection', id)).toBe(true);
      expect(derivedId('connection', bytes.slice(0, 16))).toBe(id);
      expect(TypeID.fromString(id).toUUID()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-/);
    }),
  );
  const [one, other] = [new Uint8Array(16), new Uint8Array(16).fill(1)];
  expect(derivedId('connection', one)).not.toBe(derivedId('connection', other));
});
