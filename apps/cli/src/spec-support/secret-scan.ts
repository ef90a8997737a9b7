import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { tokenFingerprint } from '@postern/testing';

/** What must stand nowhere: as it is, by its fingerprint, or by the PKCE challenge that was made of it. */
export interface Canaries {
  readonly literals: readonly { readonly name: string; readonly value: string }[];
  readonly fingerprints: ReadonlySet<string>;
  readonly challenges: ReadonlySet<string>;
}

export interface Hit {
  readonly place: string;
  readonly what: string;
}

/** Opaque tokens and verifiers stand between quotes, blanks or other signs that are not base64url. */
const tokenShaped = /[A-Za-z0-9_~.-]{32,}/g;

/** Looks for canaries in a text. */
export function scanText(place: string, text: string, canaries: Canaries): Hit[] {
  const hits: Hit[] = [];
  for (const { name, value } of canaries.literals) {
    const forms = [value, Buffer.from(value).toString('base64').replace(/=+$/, ''), encodeURIComponent(value)];
    if (value.length >= 8 && forms.some((form) => text.includes(form))) hits.push({ place, what: name });
  }
  for (const run of new Set(text.match(tokenShaped))) {
    if (canaries.fingerprints.has(tokenFingerprint(run))) hits.push({ place, what: 'a refresh token' });
    if (canaries.challenges.has(createHash('sha256').update(run).digest('base64url')))
      hits.push({ place, what: 'a PKCE verifier' });
  }
  return hits;
}

/** Looks for canaries in every file below a folder, but for those whose place is to hold a secret. */
export function scanFolder(
  root: string,
  canaries: Canaries,
  mayHold: (path: string) => boolean,
): { files: number; hits: Hit[] } {
  const found = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !mayHold(path.slice(root.length + 1)));
  // Latin-1 keeps every byte, so that text inside binary files is found as well.
  return { files: found.length, hits: found.flatMap((path) => scanText(path, readFileSync(path, 'latin1'), canaries)) };
}
