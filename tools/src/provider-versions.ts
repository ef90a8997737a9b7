import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { loadCatalog, providersDir } from '@postern/provider-catalog';
import { parse } from 'yaml';

/** Every version of every provider's file that there ever was, with the hash of what it says. */
export const versionsFile = join(import.meta.dirname, '../../libs/provider-catalog/versions.lock');

export type Versions = ReadonlyMap<string, string>;

/** @returns the hash of each line by its `id/version` */
export function writtenVersions(): Versions {
  const lines = readFileSync(versionsFile, 'utf8').split('\n');
  return new Map(
    lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.split(' ') as [string, string]),
  );
}

/** What stands in the catalog now. Comments and the form of the YAML do not count. */
export function presentVersions(): Versions {
  const catalog = loadCatalog();
  const newest = [...catalog.values()].map(({ id, version }) => [`${id}/${version}`, `${id}.yaml`] as const);
  const versionsDir = new URL('versions/', providersDir);
  const others = readdirSync(versionsDir).flatMap((id) =>
    readdirSync(new URL(`${id}/`, versionsDir)).map(
      (name) => [`${id}/${name.replace('.yaml', '')}`, `versions/${id}/${name}`] as const,
    ),
  );
  return new Map(
    [...newest, ...others].map(([name, file]) => [name, hashOf(readFileSync(new URL(file, providersDir), 'utf8'))]),
  );
}

function hashOf(yaml: string): string {
  return createHash('sha256')
    .update(JSON.stringify(parse(yaml)))
    .digest('hex');
}

/**
 * What is wrong between the two, in words for whoever changed a file.
 *
 * Connections are pinned to the version that they were made with (ADR 0037): it may neither change nor go.
 */
export function versionFaults({
  written,
  present,
}: {
  readonly written: Versions;
  readonly present: Versions;
}): string[] {
  const faults = [...written].flatMap(([name, hash]) => {
    if (!present.has(name))
      return [`${name} is gone: put it back as libs/provider-catalog/providers/versions/${name}.yaml`];
    return present.get(name) === hash
      ? []
      : [`${name} has changed: give it the next version, and keep this one in versions/`];
  });
  const unknown = [...present.keys()].filter((name) => !written.has(name));
  return [...faults, ...unknown.map((name) => `${name} is not written down: npm run docs`)];
}

/** What is written down stays as it is; what is new is added. */
export function withNewVersions({
  written,
  present,
}: {
  readonly written: Versions;
  readonly present: Versions;
}): string {
  const all = new Map([...present, ...written]);
  const head =
    '# Every version of a provider’s file with the hash of what it says. Written by `npm run docs`, which only adds.\n';
  const numbered = [...all].map(([name, hash]) => ({
    name,
    id: name.split('/')[0] ?? '',
    version: Number(name.split('/')[1]),
    hash,
  }));
  const ordered = numbered.toSorted((one, other) =>
    one.id === other.id ? one.version - other.version : one.id < other.id ? -1 : 1,
  );
  return `${head}${ordered.map(({ name, hash }) => `${name} ${hash}`).join('\n')}\n`;
}
