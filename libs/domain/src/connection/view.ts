import { PosternError, timestampOf, type ConnectionView, type Freshness } from '@postern/contracts';

import { delegationOf, delegationView, endOfDelegation, type DelegationChain } from './delegation.ts';
import { freshnessOf } from './freshness.ts';
import { hasReauthorizePage } from './grants.ts';
import type { Connection } from './state.ts';

export interface ViewContext {
  readonly revision: number;
  /** The log position after which this was so. */
  readonly position: number;
  /** Where the end user can authorize again; told only where that helps. */
  readonly reauthorizeUrl: string | null;
  readonly nowMs: number;
  /** What stands behind a derived connection, where the asker looked. */
  readonly chain?: DelegationChain | undefined;
  readonly stale?: boolean;
}

/**
 * A connection as its platform sees it: no digest, no session, no claim.
 *
 * @throws {PosternError} `connection.not_found` when nothing ever happened under this id
 */
export function viewOf(state: Connection, context: ViewContext): ConnectionView {
  const { authorization, credential } = state;
  if (authorization === 'moved') throw new PosternError('connection.moved', 'The connection goes on in a later epoch.');
  if (authorization === 'none') throw new PosternError('connection.not_found', 'There is no such connection.');
  const freshness = withDelegation(freshnessOf(state, context), context.chain);
  const delegation = delegationOf(state);
  const endUserHelps = authorization === 'revoked' || freshness.health === 'reauthorization_required';
  return {
    connection_id: state.connectionId,
    tenant_id: state.tenantId,
    platform_id: state.platformId,
    provider: state.providerId,
    registration_id: state.registrationId,
    authorization,
    suspended: state.suspended,
    credential_version: credential?.version ?? null,
    scope: credential?.grantedScopes ?? [],
    revision: context.revision,
    position: context.position,
    created_at: timestampOf(state.createdAtMs),
    reauthorize_url: endUserHelps && hasReauthorizePage(state) ? context.reauthorizeUrl : null,
    ...(delegation !== undefined && { delegation: delegationView(delegation) }),
    freshness,
  };
}

/** What is derived is no better than what it is derived from. */
function withDelegation(freshness: Freshness, chain: DelegationChain | undefined): Freshness {
  const isWorse = freshness.health !== 'ok' && freshness.health !== 'degraded';
  const end = chain === undefined || isWorse ? undefined : endOfDelegation(chain);
  return end === undefined ? freshness : { ...freshness, health: 'degraded', reason: end.code };
}
