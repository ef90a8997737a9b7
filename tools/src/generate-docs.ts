import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { presentVersions, versionsFile, withNewVersions, writtenVersions } from './provider-versions.ts';
import { referenceDocuments } from './reference-documents.ts';

const folder = join(import.meta.dirname, '../../docs/reference');
mkdirSync(folder, { recursive: true });
for (const [name, text] of Object.entries(referenceDocuments())) {
  writeFileSync(join(folder, name), text);
  console.log(`docs/reference/${name}`);
}

writeFileSync(versionsFile, withNewVersions({ written: writtenVersions(), present: presentVersions() }));
console.log('libs/provider-catalog/versions.lock');
