import { existsSync, readFileSync } from 'node:fs';
import { resolve, sep } from 'node:path';
import { z } from 'zod';

import { AdministratorJwk, PosternError, type AdministratorDecision, type SignedBy } from '@postern/contracts';
import { generateSigningKey, type SigningPrivateJwk } from '@postern/crypto';
import { livingAdministrators, type Governance } from '@postern/domain';
import { requireSignature, signAsAdministrator } from '@postern/event-log';

import { writePrivate } from '../data-folder/files.ts';
import type { DataFolder } from '../data-folder/paths.ts';
import type { PlainRun } from '../run-command.ts';

const PrivateKey = AdministratorJwk.extend({ d: z.string().regex(/^[A-Za-z0-9_-]{43}$/) });

/** Where the public part of a key file stands. */
export const publicFileOf = (file: string) => `${file}.pub`;

/**
 * Makes a person's own key: the private part in a file of mode 0600, the public part beside it, to be handed over.
 *
 * @throws {PosternError} `request.malformed` for a file that exists, or stands in the data folder, which others hold too
 */
export function makeAdministratorKey(file: string, { root }: Pick<DataFolder, 'root'>): AdministratorJwk {
  const own = resolve(file);
  if (`${own}${sep}`.startsWith(`${resolve(root)}${sep}`)) {
    throw malformed(`${file} stands in the data folder, whose holder could then sign as you; keep the key elsewhere.`);
  }
  const taken = [own, publicFileOf(own)].find((path) => existsSync(path));
  if (taken !== undefined) throw malformed(`${taken} exists; name another file.`);
  const { privateJwk, publicJwk } = generateSigningKey();
  const { kty, crv, x, kid } = AdministratorJwk.parse(publicJwk);
  writePrivate(own, `${JSON.stringify({ kty, crv, x, kid, d: privateJwk.d })}\n`);
  writePrivate(publicFileOf(own), `${JSON.stringify({ kty, crv, x, kid })}\n`);
  return { kty, crv, x, kid };
}

/** The public key that somebody handed over. @throws {PosternError} `request.malformed`, also for a private one */
export function readPublicKey(file: string): AdministratorJwk {
  const read = AdministratorJwk.strict().safeParse(jsonIn(file));
  if (read.success) return read.data;
  throw malformed(`${file} is no administrator’s public key; postern admin key FILE makes one, and FILE.pub is it.`);
}

/** A decision by the administrator whose key `--as` names, signed and checked as everybody else will check it. */
export function signed<Data extends { readonly number: number }>(
  options: PlainRun['options'],
  governance: Governance,
  { data, ...decision }: Omit<AdministratorDecision, 'data'> & { readonly data: Data },
): Data & { readonly by: SignedBy } {
  const key = readPrivateKey(options['as']);
  const who = livingAdministrators(governance).find(({ publicJwk }) => publicJwk.x === key.x);
  if (who === undefined) {
    throw new PosternError('administrator.not_found', 'The key of --as is no administrator’s of this tenant.');
  }
  const whole = { ...decision, data };
  const by = { administratorId: who.administratorId, signature: signAsAdministrator(whole, key) };
  requireSignature(whole, by, governance.administrators);
  return { ...data, by };
}

function readPrivateKey(file: unknown): SigningPrivateJwk {
  if (typeof file !== 'string') {
    throw new PosternError('administrator.signature_required', 'This decision is signed by a person.');
  }
  const read = PrivateKey.safeParse(jsonIn(file));
  if (read.success) return read.data;
  throw malformed(`${file} is no administrator’s key; postern admin key FILE makes one.`);
}

function jsonIn(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    throw malformed(`${file} cannot be read.`);
  }
  try {
    return JSON.parse(text);
  } catch {
    // What a parser says may quote what it parsed: a private key.
    return undefined;
  }
}

function malformed(why: string): PosternError {
  return new PosternError('request.malformed', why);
}
