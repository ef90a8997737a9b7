import {
  commitEventType,
  commitHeaders,
  commitSignatureContext,
  limits,
  mayWrite,
  PosternError,
  type Commit,
} from '@postern/contracts';
import { commitHash, signedMessage } from '@postern/crypto';

import { subjectOf } from './aggregate.ts';
import type { CommitSigner } from './signing.ts';

/** A commit as it goes to the log. */
export interface EncodedCommit {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  readonly messageId: string;
  /** What the next commit of the aggregate carries as `previousHash`. */
  readonly hash: string;
}

export interface EncodeOptions {
  readonly signer: CommitSigner;
  /** The CloudEvents source: which part of Postern wrote it. */
  readonly source: string;
  readonly traceparent?: string | undefined;
}

/**
 * Turns a decision into its one message: JSON bytes, CloudEvents headers, signature.
 *
 * @throws {PosternError} `auth.forbidden` when the signer may not write one of the events: a bug is stopped before it
 *   becomes a foreign message. `log.commit_too_large` for too many events; too many bytes are refused by the log.
 * @source CloudEvents 1.0, NATS protocol binding §3.1
 */
export async function encodeCommit(commit: Commit, options: EncodeOptions): Promise<EncodedCommit> {
  const { signer } = options;
  if (commit.events.length > limits.eventsPerCommitMax) {
    throw new PosternError('log.commit_too_large', `More than ${limits.eventsPerCommitMax} events in one commit.`);
  }
  for (const { type } of commit.events) {
    if (!mayWrite(signer.identity, type)) {
      throw new PosternError('auth.forbidden', `${signer.identity} may not write ${type}.`);
    }
  }
  const draft = draftOf(commit);
  return signedDraft(draft, await signer.signTogether(draft.signed), options);
}

/** The same by itself and without any check. @internal */
export function signCommit(commit: Commit, options: EncodeOptions): EncodedCommit {
  const draft = draftOf(commit);
  return signedDraft(draft, options.signer.sign(draft.signed), options);
}

interface Draft {
  readonly commit: Commit;
  readonly subject: string;
  readonly payload: Uint8Array;
  /** What its writer signs. */
  readonly signed: Uint8Array;
}

function draftOf(commit: Commit): Draft {
  const subject = subjectOf({ tenantId: commit.tenantId, kind: commit.aggregate, id: commit.aggregateId });
  const payload = Buffer.from(JSON.stringify(commit));
  return { commit, subject, payload, signed: signedMessage(commitSignatureContext, subject, payload) };
}

function signedDraft(
  { commit, subject, payload }: Draft,
  signature: string,
  { signer, source, traceparent }: EncodeOptions,
): EncodedCommit {
  const headers = {
    [commitHeaders.id]: commit.commitId,
    [commitHeaders.source]: source,
    [commitHeaders.type]: commitEventType,
    [commitHeaders.subject]: commit.aggregateId,
    [commitHeaders.time]: commit.at,
    [commitHeaders.specVersion]: '1.0',
    [commitHeaders.contentType]: 'application/json',
    [commitHeaders.key]: signer.keyId,
    [commitHeaders.signature]: signature,
    ...(traceparent === undefined ? {} : { [commitHeaders.traceparent]: traceparent }),
  };
  return { subject, payload, headers, messageId: commit.commitId, hash: commitHash(subject, payload) };
}
