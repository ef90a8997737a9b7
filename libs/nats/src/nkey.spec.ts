import { createAccount, createOperator, createUser, fromPublic, fromSeed, Prefix } from '@nats-io/nkeys';

import { claimsOf, Nkey } from './nkey.ts';

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const message = new TextEncoder().encode('nonce');

describe('a key pair is the one of the client library', () => {
  test.each([
    ['operator', createOperator, Prefix.Operator],
    ['account', createAccount, Prefix.Account],
    ['user', createUser, Prefix.User],
  ] as const)('%s', (_name, create, role) => {
    const theirs = create();
    const ours = Nkey.fromSeed(text(theirs.getSeed()));
    expect(ours.getPublicKey()).toBe(theirs.getPublicKey());
    expect(text(ours.getSeed())).toBe(text(theirs.getSeed()));
    expect(Buffer.from(ours.sign(message))).toEqual(Buffer.from(theirs.sign(message)));
    expect(ours.verify(message, theirs.sign(message))).toBe(true);

    const made = Nkey.create(role);
    expect(fromSeed(made.getSeed()).getPublicKey()).toBe(made.getPublicKey());
    expect(fromPublic(made.getPublicKey()).verify(message, made.sign(message))).toBe(true);
    expect(made.verify(new TextEncoder().encode('other'), made.sign(message))).toBe(false);
  });
});

test.each([
  ['nothing', ''],
  ['a public key', Nkey.create(Prefix.User).getPublicKey()],
  ['a seed with a changed letter', changed(Nkey.create(Prefix.User).seed)],
  ['a seed that was cut', Nkey.create(Prefix.User).seed.slice(0, -1)],
  ['a letter that is none', Nkey.create(Prefix.User).seed.toLowerCase()],
])('%s is no seed', (_name, seed) => {
  expect(() => Nkey.fromSeed(seed)).toThrow(/nkeys/);
});

test('claims are what their issuer signed', () => {
  const issuer = Nkey.create(Prefix.Account);
  const head = Buffer.from('{"typ":"JWT","alg":"ed25519-nkey"}').toString('base64url');
  const body = (exp: number) => Buffer.from(JSON.stringify({ iss: issuer.getPublicKey(), exp })).toString('base64url');
  const signature = Buffer.from(issuer.sign(Buffer.from(`${head}.${body(1)}`))).toString('base64url');
  expect(claimsOf(`${head}.${body(1)}.${signature}`)).toMatchObject({ exp: 1 });
  expect(() => claimsOf(`${head}.${body(2)}.${signature}`)).toThrow('signature');
});

function changed(seed: string): string {
  const at = 20;
  return `${seed.slice(0, at)}${seed[at] === 'A' ? 'B' : 'A'}${seed.slice(at + 1)}`;
}
