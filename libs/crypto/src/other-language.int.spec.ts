import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { generateSealingKey, sealJwe, Sealer } from './index.ts';

const program = fileURLToPath(new URL('../fixtures/open-jwe/', import.meta.url));
const buildTimeoutMs = 15 * 60_000;
const title = 'a JOSE library of another language (lestrrat-go/jwx)';

interface Answer {
  readonly plaintext?: string;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly error?: string;
}

const hasGo = spawnSync('go', ['version']).status === 0;
const required = process.env['POSTERN_REQUIRE_SERVERS'] === '1';

const runs = hasGo || required;
const suite = runs ? describe : describe.skip;

suite(runs ? title : `${title} (skipped: go was not found)`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-open-jwe-'));
  const binary = join(folder, 'open-jwe');

  beforeAll(() => {
    const args = ['build', '-mod=readonly', '-trimpath', '-buildvcs=false', '-o', binary, '.'];
    execFileSync('go', args, { cwd: program, env: { ...process.env, GOWORK: 'off', CGO_ENABLED: '0' } });
  }, buildTimeoutMs);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function open(questions: readonly { readonly key: object; readonly jwe: string }[]): Answer[] {
    const input = questions.map((question) => `${JSON.stringify(question)}\n`).join('');
    const lines = execFileSync(binary, { input, encoding: 'utf8' }).trim().split('\n');
    return lines.map((line) => JSON.parse(line) as Answer);
  }

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
