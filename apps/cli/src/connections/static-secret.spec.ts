import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { staticSecretIn } from './static-secret.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-secret-'));
const file = join(folder, 'secret');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function read(text: string): unknown {
  writeFileSync(file, text);
  return staticSecretIn(file);
}

test('plain text is an API key, JSON names the parts', () => {
  expect(read('sk_test_1\n')).toEqual({ api_key: 'sk_test_1' });
  expect(read('{"username": "ada", "password": "p"}')).toEqual({ username: 'ada', password: 'p' });
  expect(read('{"headers": {"X-Key": "k"}}\n')).toEqual({ headers: { 'X-Key': 'k' } });
});

test.each(['', '\n', '{"username": "ada:p"}', '{"username": "ada", "passwort": "p"}', '{', 'two\nlines'])(
  'anything else is refused, without a word of it: %j',
  (text) => {
    let thrown: unknown;
    try {
      read(text);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'request.malformed' });
    expect(JSON.stringify([(thrown as Error).message, thrown])).not.toMatch(/ada|lines/);
  },
);
