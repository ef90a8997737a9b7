import { commitHeaders, newId, type Actor, type Commit, type TrustBundle } from '@postern/contracts';
import { generateSigningKey } from '@postern/crypto';

import { CommitReader } from '../commit-reader.ts';
import { signCommit, type EncodedCommit } from '../encode-commit.ts';
import type { EventLog } from '../event-log.ts';
import type { AnyEvent, Evolver } from '../evolver.ts';
import { Repository, type AggregateRef, type RepositoryOptions } from '../repository.ts';
import { commitSigner, commitVerifier, type CommitSigner } from '../signing.ts';

/** A connection, as far as the contract needs one: is it suspended, and how often did that change? */
export interface Switch {
  readonly suspended: boolean;
  readonly changes: number;
}

export const switchEvolver: Evolver<Switch, AnyEvent> = Object.freeze({
  kind: 'connection' as const,
  stateVersion: 1,
  initialState: Object.freeze({ suspended: false, changes: 0 }),
  evolve: ({ changes }: Switch, { type }: AnyEvent) => ({
    suspended: type === 'ConnectionSuspended',
    changes: changes + 1,
  }),
});

export const actor: Actor = Object.freeze({ type: 'service', id: 'contract' });

export const suspended = (reason: string | null = null): AnyEvent => ({
  type: 'ConnectionSuspended',
  version: 1,
  data: { reason },
});
export const resumed = (): AnyEvent => ({ type: 'ConnectionResumed', version: 1, data: { reason: null } });

/** Flips the switch. */
export const flip = (state: Switch): AnyEvent[] => [state.suspended ? resumed() : suspended()];

/** Writers with keys, and a reader that trusts just them. */
export function makeWriters() {
  const keys = {
    revocation: generateSigningKey(),
    refresh: generateSigningKey(),
    stranger: generateSigningKey(),
  };
  const trust: TrustBundle = {
    writers: { revocation: [publicOf(keys.revocation)], refresh: [publicOf(keys.refresh)] },
    recipients: {},
  };
  const signers = {
    revocation: commitSigner('revocation', keys.revocation.privateJwk),
    refresh: commitSigner('refresh', keys.refresh.privateJwk),
    /** Says to be `revocation`, with a key that nobody trusts. */
    stranger: commitSigner('revocation', keys.stranger.privateJwk),
  };
  const verifier = commitVerifier(trust);
  return { signers, verifier, reader: new CommitReader({ verifier }) };
}

function publicOf({ publicJwk }: ReturnType<typeof generateSigningKey>) {
  const { kty, crv, x, kid } = publicJwk;
  return { kty, crv, x, kid: kid ?? '' };
}

export type Writers = ReturnType<typeof makeWriters>;

export const newRef = (): AggregateRef => ({ tenantId: newId('tenant'), id: newId('connection') });

export function makeRepository(
  log: EventLog,
  { signers, reader }: Writers,
  more: Partial<RepositoryOptions<Switch, AnyEvent>> = {},
): Repository<Switch, AnyEvent> {
  return new Repository({
    log,
    reader,
    evolver: switchEvolver,
    signer: signers.revocation,
    source: '/postern/contract',
    ...more,
  });
}

export const executing = () => ({ actor, correlationId: newId('correlation') });

/** A commit made by hand, with the headers that it is stored with; nothing about it is checked. */
export function forge(
  { tenantId, id }: AggregateRef,
  signer: CommitSigner,
  more: Partial<Omit<Commit, 'tenantId' | 'aggregateId'>> = {},
): EncodedCommit {
  const commit: Commit = {
    commitId: newId('commit'),
    tenantId,
    aggregate: 'connection',
    aggregateId: id,
    revision: 2,
    at: new Date().toISOString(),
    actor,
    causationId: null,
    correlationId: newId('correlation'),
    events: [{ type: 'ConnectionSuspended', version: 1, data: { reason: null } }],
    stateVersion: switchEvolver.stateVersion,
    state: { suspended: true, changes: 99 },
    previousHash: null,
    ...more,
  };
  const encoded = signCommit(commit, { signer, source: '/postern/forged' });
  return { ...encoded, headers: { ...encoded.headers, [commitHeaders.messageId]: commit.commitId } };
}
