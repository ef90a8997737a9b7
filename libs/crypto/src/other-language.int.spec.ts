import { generateSealingKey, sealJwe, Sealer } from './index.ts';
import { describeWithGo } from './spec-support/go-program.ts';

interface Answer {
  readonly plaintext?: string;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly error?: string;
}

describeWithGo('a JOSE library of another language (lestrrat-go/jwx)', 'open-jwe', (ask) => {
  const open = (questions: readonly { readonly key: object; readonly jwe: string }[]) =>
    ask(questions).map((line) => JSON.parse(line) as Answer);

  const { publicJwk, privateJwk } = generateSealingKey();
  const protectedHeader = { cty: 'text/plain', lse: 'lse_1', con: 'con_1', ver: 3, exp: 1_800_000_000 };

  test('opens what is sealed once, and reads what its header binds', () => {
    const jwe = sealJwe({ recipient: publicJwk, plaintext: Buffer.from('access-äß🔑'), protectedHeader });
    const [answer] = open([{ key: privateJwk, jwe }]);
    expect(answer).toMatchObject({
      plaintext: 'access-äß🔑',
      header: { ...protectedHeader, alg: 'ECDH-ES', enc: 'A256GCM', kid: publicJwk.kid },
    });
  });

  test('opens everything that is sealed under one kept key agreement', () => {
    const sealer = new Sealer();
    const texts = Array.from({ length: 600 }, (_, index) => `access-${index}`);
    const sealed = texts.map((text) =>
      sealer.seal({ scope: 'ten_1', recipient: publicJwk, plaintext: Buffer.from(text), protectedHeader }),
    );
    sealer.clear();
    const answers = open(sealed.map((jwe) => ({ key: privateJwk, jwe })));
    expect(answers.map(({ plaintext }) => plaintext)).toEqual(texts);
  });

  test('opens nothing with another key, and nothing that was changed', () => {
    const jwe = sealJwe({ recipient: publicJwk, plaintext: Buffer.from('access'), protectedHeader });
    const [header = '', , iv = '', ciphertext = '', tag = ''] = jwe.split('.');
    const changed = JSON.parse(Buffer.from(header, 'base64url').toString('utf8')) as Record<string, unknown>;
    const forged = Buffer.from(JSON.stringify({ ...changed, ver: 4 })).toString('base64url');
    const answers = open([
      { key: generateSealingKey().privateJwk, jwe },
      { key: privateJwk, jwe: `${forged}..${iv}.${ciphertext}.${tag}` },
    ]);
    expect(answers.map(({ plaintext, error }) => ({ plaintext, refused: error !== undefined }))).toEqual([
      { plaintext: undefined, refused: true },
      { plaintext: undefined, refused: true },
    ]);
  });
});
