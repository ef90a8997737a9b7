import { PosternError } from '@postern/contracts';
import { sealJwe } from '@postern/crypto';

import { readTrust } from '../data-folder/keys.ts';
import type { Session } from '../session/session.ts';

/** Seals a secret to the key of the vault that was pinned at deploy time. */
export function sealedToVault(
  session: Session,
  protectedHeader: Readonly<Record<string, string>>,
  plaintext: Uint8Array,
): string {
  return sealedTo('vault', session, { protectedHeader, plaintext });
}

/** Seals a secret to the key of a service that was pinned at deploy time. */
export function sealedTo(
  app: 'vault' | 'authorization',
  session: Session,
  sealed: { readonly protectedHeader: Readonly<Record<string, string>>; readonly plaintext: Uint8Array },
): string {
  const recipient = readTrust(session.folder).recipients[app];
  if (recipient === undefined) throw new PosternError('config.invalid', `The trust bundle names no key of ${app}.`);
  return sealJwe({ ...sealed, recipient });
}
