import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

import { PosternError } from '@postern/contracts';
import { parse } from 'yaml';

import { ProviderFile } from './provider-file.ts';
import { providerFrom, type Provider } from './provider.ts';

/** Where the provider files of this library stand. */
export const providersDir = new URL('../providers/', import.meta.url);

const fileBytesMax = 64 * 1024;
const aliasesMax = 10;

/** All providers Postern knows, by id. */
export type Catalog = ReadonlyMap<string, Provider>;

/**
 * Reads one provider file.
 *
 * @throws {PosternError} `provider.invalid` with the fields that do not fit; also when the id is not the file's name.
 */
export function parseProviderFile(yaml: string, fileName: string): Provider {
  const parsed = ProviderFile.safeParse(readYaml(yaml, fileName));
  if (!parsed.success) {
    const fields = parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), reason: message }));
    const named = fields.map(({ path, reason }) => `${path || '(file)'}: ${reason}`).join('; ');
    throw new PosternError('provider.invalid', `${fileName}: ${named}.`, { details: { fields } });
  }
  if (`${parsed.data.id}.yaml` !== fileName) {
    throw new PosternError('provider.invalid', `${fileName} holds the provider ${parsed.data.id}.`);
  }
  return providerFrom(parsed.data);
}

/**
 * Reads every provider file; once, at start, so that a broken file stops the service instead of a user.
 *
 * @throws {PosternError} `provider.invalid`
 */
export function loadCatalog(dir: URL = providersDir): Catalog {
  const names = readdirSync(dir)
    .filter((name) => name.endsWith('.yaml'))
    .toSorted();
  const catalog = new Map<string, Provider>();
  for (const name of names) {
    const provider = parseProviderFile(readFileSync(new URL(name, dir), 'utf8'), basename(name));
    catalog.set(provider.id, provider);
  }
  return catalog;
}

/** @throws {PosternError} `provider.not_found` */
export function providerOf(catalog: Catalog, id: string): Provider {
  const provider = catalog.get(id);
  if (provider === undefined) throw new PosternError('provider.not_found', 'The catalog has no such provider.');
  return provider;
}

function readYaml(text: string, fileName: string): unknown {
  if (text.length > fileBytesMax) throw new PosternError('provider.invalid', `${fileName} is too long.`);
  try {
    return parse(text, { maxAliasCount: aliasesMax, uniqueKeys: true, strict: true });
  } catch (cause) {
    throw new PosternError('provider.invalid', `${fileName} is no YAML.`, { cause });
  }
}
