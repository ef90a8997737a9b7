import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const channel = 'postern.crash-point';

test('what is built says where it passes a crash point, and holds nothing that would hear it', () => {
  const naming: string[] = [];
  for (const place of ['libs', 'apps'].flatMap((kind) =>
    readdirSync(join(root, kind)).map((name) => `${kind}/${name}`),
  )) {
    const dist = join(root, place, 'dist');
    if (!existsSync(dist)) continue;
    for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.js')) continue;
      if (readFileSync(join(dist, file), 'utf8').includes(channel)) naming.push(`${place}/${file}`);
    }
  }
  expect(naming).toEqual(['libs/service/crash-point.js']);
});
