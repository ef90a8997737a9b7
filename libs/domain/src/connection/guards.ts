import { administratorToken, PosternError } from '@postern/contracts';

import type { Connection, Credential } from './state.ts';

/** A caller as the subject proves it. */
export interface Owner {
  readonly tenantId: string;
  readonly platformId: string;
}

function notFound(): PosternError {
  return new PosternError('connection.not_found', 'There is no such connection.');
}

/**
 * Nothing is decided on what was closed and not opened: not even that a deed was done already, since it may have been
 * undone behind the opening.
 *
 * @throws {PosternError} `connection.moved`
 */
export function requireHere(state: Connection): void {
  if (state.authorization !== 'moved') return;
  throw new PosternError('connection.moved', 'The connection goes on in a later epoch.');
}

/** @throws {PosternError} `connection.not_found` when nothing ever happened under this id; `connection.moved` */
export function requireExisting(state: Connection): void {
  requireHere(state);
  if (state.authorization === 'none') throw notFound();
}

/**
 * Refuses a connection that is not the caller's, in the words used for one that does not exist: whether another
 * platform's connection exists is not the caller's business. An administrator owns every connection of the tenant.
 *
 * @throws {PosternError} `connection.not_found`
 */
export function requireOwnedBy(state: Connection, owner: Owner): void {
  requireExisting(state);
  if (state.tenantId !== owner.tenantId) throw notFound();
  if (owner.platformId !== administratorToken && state.platformId !== owner.platformId) throw notFound();
}

/** @throws {PosternError} `connection.not_found`, `connection.deleted` */
export function requireNotDeleted(state: Connection): void {
  requireExisting(state);
  if (state.authorization === 'deleted') {
    throw new PosternError('connection.deleted', 'The connection was deleted.');
  }
}

/**
 * The credential of a connection that may be used now.
 *
 * A revocation is told before a suspension: it is what the platform must act on, and resuming would not help.
 *
 * @throws {PosternError} `connection.not_found`, `.deleted`, `.revoked`, `.suspended`, `.reauthorization_required`,
 *   `.not_authorized`
 */
export function requireUsable(state: Connection): Credential {
  requireNotDeleted(state);
  if (state.authorization === 'revoked') {
    throw new PosternError('connection.revoked', 'The connection was revoked.');
  }
  if (state.suspended) throw new PosternError('connection.suspended', 'The connection is suspended.');
  if (state.authorization === 'reauthorization_required') {
    throw new PosternError('connection.reauthorization_required', 'The end user must authorize the connection again.');
  }
  if (state.authorization !== 'authorized' || state.credential === null) {
    throw new PosternError('connection.not_authorized', 'The connection was never authorized.');
  }
  return state.credential;
}

export interface KeptApart {
  /**
   * Scopes that may destroy, spend or administer, where the tenant keeps these to connections of their own; absent: it does
   * not.
   */
  readonly highRiskScopes?: readonly string[] | undefined;
}

/**
 * A connection that many use for little is no place for what can do much; one that has some of it already may get more.
 *
 * @throws {PosternError} `connection.high_risk`
 */
export function requireNoNewRisk(
  { highRiskScopes = [], requestedScopes }: KeptApart & { readonly requestedScopes: readonly string[] },
  state: Connection,
): void {
  const granted = state.credential?.grantedScopes;
  if (granted === undefined || granted.some((scope) => highRiskScopes.includes(scope))) return;
  const added = requestedScopes.filter((scope) => highRiskScopes.includes(scope));
  if (added.length === 0) return;
  const fields = added.map((scope) => ({ path: 'scopes', reason: `${scope} is of high risk` }));
  throw new PosternError(
    'connection.high_risk',
    `The connection has nothing of high risk, and ${added.join(', ')} is.`,
    {
      details: { fields },
    },
  );
}
