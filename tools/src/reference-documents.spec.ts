import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { referenceDocuments } from './reference-documents.ts';

const folder = join(import.meta.dirname, '../../docs/reference');

test.each(Object.entries(referenceDocuments()))('docs/reference/%s is what the contracts generate', (name, text) => {
  expect(readFileSync(join(folder, name), 'utf8')).toBe(text);
});
