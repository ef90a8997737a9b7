import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

import { PosternError } from '@postern/contracts';
import { parse } from 'yaml';

import { ProviderFile } from './provider-file.ts';
import { providerFrom, type Provider } from './provider.ts';

/** Where the provider files of this library stand. */
export const providersDir = new URL('../providers/', import.meta.url);

const fileBytesMax = 64 * 1024;
const aliasesMax = 10;

/** All providers Postern knows, by id. What is asked for is read; the ids are known without reading. */
export type Catalog = ReadonlyMap<string, Provider>;

/**
 * A catalog that also has other versions of its files, older ones that connections are pinned to and newer ones that are
 * tried: `versions/<id>/<version>.yaml` beside `<id>.yaml`, which is what the catalog has as its newest.
 */
export interface VersionedCatalog extends Catalog {
  /** A version of a provider's file; undefined when this release does not have it. */
  version(id: string, version: number): Provider | undefined;
  /** Which versions there are, in order; none of an unknown provider. */
  versionsOf(id: string): number[];
}

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
    throw new PosternError('provider.invalid', `${fileName} has id: ${parsed.data.id}; a file is named after its id.`);
  }
  return providerFrom(parsed.data);
}

/**
 * Reads a file of `versions/`, whose name is its version.
 *
 * @throws {PosternError} `provider.invalid` as {@link parseProviderFile}; also when it is another version
 */
export function parseProviderVersion(
  yaml: string,
  { id, version }: { readonly id: string; readonly version: number },
): Provider {
  const provider = parseProviderFile(yaml, `${id}.yaml`);
  if (provider.version === version) return provider;
  throw new PosternError('provider.invalid', `versions/${id}/${version}.yaml holds version ${provider.version}.`);
}

/**
 * The catalog of a folder, one for the whole process.
 *
 * Hundreds of files are not parsed for the few providers that a process meets: each is read when it is first asked for.
 * That all of them are valid is a matter of whoever changes one: the tests and `postern providers validate` read them all.
 *
 * @throws {PosternError} `provider.invalid` from `get` and while going through it, for a file that is broken
 */
export function loadCatalog(dir: URL = providersDir): VersionedCatalog {
  const loaded = catalogs.get(dir.href) ?? new FolderCatalog(dir);
  catalogs.set(dir.href, loaded);
  return loaded;
}

const catalogs = new Map<string, VersionedCatalog>();

class FolderCatalog implements VersionedCatalog {
  readonly #dir: URL;
  readonly #ids: ReadonlySet<string>;
  readonly #read = new Map<string, Provider>();

  constructor(dir: URL) {
    this.#dir = dir;
    const names = readdirSync(dir).filter((name) => name.endsWith('.yaml'));
    this.#ids = new Set(names.map((name) => basename(name, '.yaml')).toSorted());
  }

  get size(): number {
    return this.#ids.size;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  get(id: string): Provider | undefined {
    if (!this.#ids.has(id)) return undefined;
    const provider = this.#read.get(id) ?? this.#parsed(`${id}.yaml`);
    this.#read.set(id, provider);
    return provider;
  }

  version(id: string, version: number): Provider | undefined {
    const newest = this.get(id);
    if (newest === undefined || newest.version === version) return newest;
    const name = `versions/${id}/${version}`;
    const known = this.#read.get(name);
    if (known !== undefined) return known;
    const file = new URL(`${name}.yaml`, this.#dir);
    if (!Number.isSafeInteger(version) || !existsSync(file)) return undefined;
    const provider = parseProviderVersion(readFileSync(file, 'utf8'), { id, version });
    this.#read.set(name, provider);
    return provider;
  }

  versionsOf(id: string): number[] {
    const newest = this.get(id);
    if (newest === undefined) return [];
    const folder = new URL(`versions/${id}/`, this.#dir);
    const others = existsSync(folder) ? readdirSync(folder).map((name) => Number(basename(name, '.yaml'))) : [];
    return [...others, newest.version].toSorted((one, other) => one - other);
  }

  *entries(): MapIterator<[string, Provider]> {
    for (const id of this.#ids) yield [id, providerOf(this, id)];
  }

  *values(): MapIterator<Provider> {
    for (const [, provider] of this.entries()) yield provider;
  }

  keys(): MapIterator<string> {
    return this.#ids.keys() as MapIterator<string>;
  }

  [Symbol.iterator](): MapIterator<[string, Provider]> {
    return this.entries();
  }

  forEach(act: (value: Provider, key: string, map: Catalog) => void): void {
    for (const [id, provider] of this) act(provider, id, this);
  }

  #parsed(name: string): Provider {
    return parseProviderFile(readFileSync(new URL(name, this.#dir), 'utf8'), name);
  }
}

/** @throws {PosternError} `provider.not_found` */
export function providerOf(catalog: Catalog, id: string): Provider {
  const provider = catalog.get(id);
  if (provider === undefined) throw new PosternError('provider.not_found', 'The catalog has no such provider.');
  return provider;
}

/**
 * The version of a provider's file that a connection uses.
 *
 * A pin to a version that this release has no more comes to the newest: a connection must not stop at that.
 *
 * @param version null: the newest
 * @throws {PosternError} `provider.not_found`
 */
export function providerAt(catalog: VersionedCatalog, id: string, version: number | null): Provider {
  const found = version === null ? undefined : catalog.version(id, version);
  return found ?? providerOf(catalog, id);
}

function readYaml(text: string, fileName: string): unknown {
  if (text.length > fileBytesMax) throw new PosternError('provider.invalid', `${fileName} is too long.`);
  try {
    return parse(text, { maxAliasCount: aliasesMax, uniqueKeys: true, strict: true });
  } catch (cause) {
    throw new PosternError('provider.invalid', `${fileName} is no YAML.`, { cause });
  }
}
