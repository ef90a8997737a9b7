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
      const times = readFileSync(join(dist, file), 'utf8').split(channel).length - 1;
      // A part of the bundle holds that one file, among others.
      const isItsCopy = file.startsWith('bundle/') && times === 1;
      if (times > 0 && !isItsCopy) naming.push(`${place}/${file}`);
    }
  }
  expect(naming).toEqual(['libs/service/crash-point.js']);
});
