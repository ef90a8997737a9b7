import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import type { DataFolder } from '../data-folder/paths.ts';
import type { Provider } from '@postern/provider-catalog';

import { pkceWarning } from '../providers/pkce.ts';
import { fine, wrong, type Finding } from './finding.ts';

/** Switches that make Postern less safe, and what each allows. */
const switches: readonly (readonly [variable: string, allows: string])[] = [
  ['POSTERN_ALLOW_LAZY_SYNC', 'a power failure takes back what was acknowledged'],
  ['POSTERN_ALLOW_PLAINTEXT_NATS', 'the network sees who connects what to whom'],
  ['POSTERN_ALLOW_LOOPBACK_PROVIDERS', 'providers of this machine are spoken to without TLS, as in the demo'],
];

/** @param env of this shell: what `postern up` is started with from here. */
export function switchFindings(env: NodeJS.ProcessEnv): Finding[] {
  return switches
    .filter(([variable]) => (env[variable] ?? '') !== '' && env[variable] !== 'false')
    .map(([variable, allows]) => wrong(variable, `set, so that ${allows}`, `unset ${variable}`));
}

/** The providers of client registrations in use to which no code challenge is sent, one line each. */
export function pkceFindings(providers: readonly Pick<Provider, 'id' | 'name' | 'withoutPkce' | 'facts'>[]): Finding[] {
  return providers.flatMap((provider) => {
    const warning = pkceWarning(provider);
    const mend = 'docs/providers/README.md: try again whether it still breaks on PKCE';
    return warning === null ? [] : [wrong(`provider ${provider.id}`, warning, mend)];
  });
}

/** Whether others of this machine can read what is secret in the data folder. */
export function secretsFinding({ root }: Pick<DataFolder, 'root'>): Finding {
  const places = ['operator.json', 'administrator.json', 'identities', 'keyring', 'secrets'].map((name) =>
    join(root, name),
  );
  const open = places.flatMap(filesIn).filter((path) => (lstatSync(path).mode & 0o077) !== 0);
  const found = `${open.length} can be read by others of this machine: ${open.slice(0, 3).join(', ')}`;
  if (open.length > 0) return wrong('secret files', found, `chmod 600 ${open.slice(0, 3).join(' ')}`);
  return fine('secret files', 'only you can read them');
}

function filesIn(path: string): string[] {
  try {
    if (!lstatSync(path).isDirectory()) return [path];
    const entries = readdirSync(path, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  } catch {
    // Nothing was ever started on this folder.
    return [];
  }
}
