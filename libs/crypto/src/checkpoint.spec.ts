import { generateSigningKey, noteVerifierKey, openCheckpoint, signCheckpoint, treeLeafHash } from './index.ts';

const origin = 'log.example/CONNECTIONS';
const key = generateSigningKey();
const next = generateSigningKey();
const head = { origin, size: 12_345, root: treeLeafHash(Buffer.from('x')) };
const note = signCheckpoint(head, [key.privateJwk]);
const trusted = { origin, keys: [key.publicJwk] };

test('a note is three lines, an empty one, and a signature', () => {
  expect(note).toMatch(/^log\.example\/CONNECTIONS\n12345\n[A-Za-z0-9+/]{43}=\n\n— log\.example\/CONNECTIONS \S+\n$/);
  expect(openCheckpoint(note, trusted)).toMatchObject(head);
});

test('a verifier key is written as Go’s own package writes its example (golang.org/x/mod/sumdb/note)', () => {
  const published = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
  const raw = Buffer.from(published.split('+')[2] ?? '', 'base64').subarray(1);
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') } as const;
  expect(noteVerifierKey('PeterNeumann', jwk)).toBe(published);
});

test('while a key takes over both sign, and whoever trusts one of them reads it', () => {
  const both = signCheckpoint(head, [next.privateJwk, key.privateJwk]);
  for (const keys of [[key.publicJwk], [next.publicJwk]]) {
    expect(openCheckpoint(both, { origin, keys })?.keyIds).toHaveLength(1);
  }
  expect(openCheckpoint(both, { origin, keys: [key.publicJwk, next.publicJwk] })?.keyIds).toHaveLength(2);
  expect(openCheckpoint(signCheckpoint(head, [next.privateJwk]), trusted)).toBeUndefined();
});

test('a witness’s signature beside ours is stepped over', () => {
  const witness = `— witness.example ${Buffer.alloc(76, 7).toString('base64')}\n`;
  expect(openCheckpoint(`${note}${witness}`, trusted)).toMatchObject(head);
});

test('nothing that was changed is read', () => {
  const changed = [
    note.replace('12345', '12346'),
    note.replace('12345', '012345'),
    note.replace('12345', '99999999999999999999'),
    note.replace('\n\n', '\nmore\n\n'),
    note.replace('\n\n', '\n'),
    note.trimEnd(),
    note.replace('— log', '- log'),
    `${note}x\n`,
    note.replace(/\S{4}\n$/, '\n'),
    '',
  ];
  for (const one of changed) expect([one, openCheckpoint(one, trusted)]).toEqual([one, undefined]);
  expect(openCheckpoint(note, { ...trusted, origin: 'log.example/ADMIN' })).toBeUndefined();
});

test('a name that would be read as two is refused', () => {
  for (const name of ['two words', 'a+b', '', 'line\nbreak']) {
    expect(() => signCheckpoint({ ...head, origin: name }, [key.privateJwk])).toThrow(
      expect.objectContaining({ name: 'InputInvalidError' }),
    );
  }
});
