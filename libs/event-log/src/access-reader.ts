import {
  AccessGroup,
  accessSignatureContext,
  commitHeaders,
  IdentityName,
  limits,
  parseJson,
  streamRights,
  subjects,
} from '@postern/contracts';
import { signedMessage } from '@postern/crypto';

import type { StoredMessage } from './event-log.ts';
import type { LogProblem } from './commit-reader.ts';
import type { CommitVerifier } from './signing.ts';

/** A group of records that stands on ACCESS and was checked. */
export interface AccessEntry {
  readonly position: number;
  readonly subject: string;
  /** When the server stored it. */
  readonly timeMs: number;
  readonly group: AccessGroup;
  /** Who signed it. */
  readonly identity: string;
}

export type AccessReadResult = { readonly kind: 'access'; readonly entry: AccessEntry } | LogProblem;

/** Refuses bytes that are no UTF-8, rather than reading something else than was signed. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Reads a message of ACCESS and believes nothing: only what the service on whose subject it stands has signed. */
export class AccessReader {
  readonly #verifier: CommitVerifier;

  constructor({ verifier }: { readonly verifier: CommitVerifier }) {
    this.#verifier = verifier;
  }

  read(message: StoredMessage): AccessReadResult {
    const { position, subject, timeMs, payload, headers } = message;
    const problem = (kind: LogProblem['kind'], reason: string): LogProblem => ({ kind, position, subject, reason });
    const identity = this.#signedBy(message);
    if (identity === undefined) return problem('foreign', 'it carries no valid signature of a known writer');
    if (!mayRecord(identity)) return problem('foreign', `${identity} may not record access`);
    const group = parseGroup(payload);
    if (group === undefined) return problem('damaged', 'its signed payload is no group of access records');
    const { writer, sequence } = group;
    if (subject !== subjects.access({ service: identity, writer })) {
      return problem('foreign', 'its subject belongs to another writer');
    }
    if (headers[commitHeaders.messageId] !== `${writer}.${sequence}`) {
      return problem('foreign', `its header ${commitHeaders.messageId} disagrees with its payload`);
    }
    return { kind: 'access', entry: { position, subject, timeMs, group, identity } };
  }

  #signedBy({ subject, payload, headers }: StoredMessage): string | undefined {
    const signature = headers[commitHeaders.signature];
    if (signature === undefined || payload.byteLength > 2 * limits.commitBytesMax) return undefined;
    const bytes = () => signedMessage(accessSignatureContext, subject, payload);
    return this.#verifier.verify(headers[commitHeaders.key] ?? '', bytes, signature)?.identity;
  }
}

/** Is it somebody who records access? */
export function mayRecord(identity: string): boolean {
  return IdentityName.options.some(
    (name) => name === identity && streamRights[name].append?.includes(`access.${name}.*`),
  );
}

function parseGroup(payload: Uint8Array): AccessGroup | undefined {
  try {
    return parseJson(AccessGroup, JSON.parse(utf8.decode(payload)));
  } catch {
    return undefined;
  }
}
