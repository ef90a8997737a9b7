import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

import { PosternError, toPosternError } from '@postern/contracts';
import { loadCatalog, parseProviderFile, providersDir } from '@postern/provider-catalog';

import type { Printer } from '../output/printer.ts';

/**
 * Checks provider files, all of them before any error is told.
 *
 * @param files paths; none: every file of the catalog
 * @throws {PosternError} `provider.invalid` with every field of every file that does not fit
 */
export function validateFiles(printer: Printer, files: readonly string[]): void {
  const paths = files.length > 0 ? files : catalogPaths();
  const checked = paths.map(check);
  if (files.length === 0) for (const id of loadCatalog().keys()) checkVersions(id);
  const errors = checked.flatMap(({ error }) => error ?? []);
  if (errors.length > 0) throw together(errors);
  const valid = checked.flatMap(({ provider }) => provider ?? []);
  printer.result({ valid: true, providers: valid }, () =>
    files.length === 0
      ? [`All ${valid.length} provider files of the catalog are valid`]
      : valid.map(({ id, version }, index) => `${paths[index]} is a valid provider file (${id}, version ${version})`),
  );
}

interface Checked {
  readonly provider?: { readonly id: string; readonly version: number };
  readonly error?: PosternError;
}

function check(path: string): Checked {
  try {
    const { id, version } = parseProviderFile(text(path), basename(path));
    return { provider: { id, version } };
  } catch (error) {
    return { error: toPosternError(error) };
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new PosternError('provider.invalid', `${path} cannot be read; give the path of a provider file.`, { cause });
  }
}

function together(errors: readonly PosternError[]): PosternError {
  const [first] = errors;
  if (first !== undefined && errors.length === 1) return first;
  const fields = errors.flatMap(({ details }) => details?.fields ?? []);
  return new PosternError('provider.invalid', errors.map(({ message }) => message).join('\n'), { details: { fields } });
}

function catalogPaths(): string[] {
  const names = readdirSync(providersDir).filter((name) => name.endsWith('.yaml'));
  return names.map((name) => fileURLToPath(new URL(name, providersDir)));
}

/** The other versions of a file, which connections may be pinned to. @throws {PosternError} `provider.invalid` */
function checkVersions(id: string): void {
  for (const version of loadCatalog().versionsOf(id)) loadCatalog().version(id, version);
}
