import { limits, type ConnectionEvent } from '@postern/contracts';

import { connectionEvent, providerWords } from './events.ts';
import { requireHere } from './guards.ts';
import type { Connection } from './state.ts';

/** A provider's API wanted more than this credential allows. */
export interface RecordInsufficientScope {
  readonly credentialVersion: number;
  /** As far as the provider said. */
  readonly neededScopes: readonly string[];
  readonly error: string;
}

export interface RequireClaims {
  readonly credentialVersion: number;
  /** The text of the parameter `claims`. */
  readonly claims: string;
}

/** What is needed and was not granted. */
export function missingScopesOf({ credential }: Connection, neededScopes: readonly string[]): string[] {
  const granted = credential?.grantedScopes ?? [];
  return neededScopes.filter((scope) => !granted.includes(scope));
}

/**
 * Records that the grant allows too little for what was tried. It ends nothing.
 *
 * @returns no events where nothing is new in it, about another version, and where the connection is not in use.
 * @throws {PosternError} `connection.moved`
 * @source RFC 6750 §3.1
 */
export function recordInsufficientScope(command: RecordInsufficientScope, state: Connection): ConnectionEvent[] {
  requireHere(state);
  const { credentialVersion, neededScopes } = command;
  const { authorization, credential } = state;
  if (authorization !== 'authorized' || credential?.version !== credentialVersion) return [];
  const known = credential.missingScopes;
  const added = missingScopesOf(state, neededScopes).filter((scope) => known?.includes(scope) !== true);
  const missingScopes = added.slice(0, limits.scopesMax - (known?.length ?? 0));
  if (known !== undefined && missingScopes.length === 0) return [];
  const error = providerWords(command.error);
  return [connectionEvent('InsufficientScopeReported', { credentialVersion, missingScopes, error })];
}

/**
 * Records that the provider wants an authorization with other claims, for which only the end user can help. The next
 * authorization request carries them.
 *
 * @returns no events about another version, and where the connection is not in use.
 * @throws {PosternError} `connection.moved`
 * @source OpenID Connect Core 1.0 §5.5
 */
export function requireClaims({ credentialVersion, claims }: RequireClaims, state: Connection): ConnectionEvent[] {
  requireHere(state);
  const { authorization, credential } = state;
  if (authorization !== 'authorized' || credential?.version !== credentialVersion) return [];
  return [connectionEvent('ClaimsRequired', { credentialVersion, claims })];
}
