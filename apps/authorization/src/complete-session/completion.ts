import { Injectable } from '@nestjs/common';
import {
  isPosternError,
  operations,
  renewableGrants,
  type Actor,
  type ConnectionEvent,
  type TokenSet,
} from '@postern/contracts';
import { completeAuthorization, type CompleteAuthorization, type Connection } from '@postern/domain';
import type { Executed } from '@postern/event-log';
import { commitOrigin, crashPoint, eachOf, OperationsClient } from '@postern/service';

import { authorizationLimits } from '../authorization-limits.ts';
import { ProviderClients } from '../providers/provider-clients.ts';
import { Connections } from '../sessions/connections.ts';

type Known = Pick<
  CompleteAuthorization,
  | 'sessionId'
  | 'endUserDigest'
  | 'accountDigest'
  | 'accountKeys'
  | 'grant'
  | 'senderConstrained'
  | 'rotateAtMs'
  | 'authorizationDetails'
>;

/** What is to be completed: its token set waits in the vault. */
export interface Completed extends Known {
  readonly tenantId: string;
  readonly connectionId: string;
}

/** By what its tokens are bound to a key, as the events say it. */
export function boundBy({ tokenType, boundTo }: TokenSet): Pick<Known, 'senderConstrained'> {
  if (tokenType === 'DPoP') return { senderConstrained: 'dpop' };
  return boundTo === undefined ? {} : { senderConstrained: boundTo };
}

/** Makes a pending token set the connection's credential: promoted by the vault first, then recorded. */
@Injectable()
export class Completion {
  readonly #connections: Connections;
  readonly #operations: OperationsClient;
  readonly #providers: ProviderClients;

  constructor(connections: Connections, operationsClient: OperationsClient, providers: ProviderClients) {
    this.#connections = connections;
    this.#operations = operationsClient;
    this.#providers = providers;
  }

  /**
   * A refresh may be recorded between promotion and completion: the vault then gives the set a number after it.
   *
   * @throws {PosternError} what the vault answers, and `completeAuthorization`
   */
  async record(
    { tenantId, connectionId, ...known }: Completed,
    actor: Actor,
  ): Promise<Executed<Connection, ConnectionEvent>> {
    for (let attempt = 1; ; attempt += 1) {
      const promoted = await this.#promote({ tenantId, connectionId, ...known });
      try {
        return await this.#connections.execute(
          { tenantId, id: connectionId },
          (connection, { nowMs }) => {
            const command = { ...known, ...promoted, ...this.#endedByRefresh(connection, known) };
            return completeAuthorization({ ...command, nowMs }, connection);
          },
          { actor, fromLeader: true, ...commitOrigin() },
        );
      } catch (error) {
        const stale = isPosternError(error) && error.code === 'vault.version_stale';
        if (!stale || attempt >= authorizationLimits.promoteAttemptsMax) throw error;
      }
    }
  }

  /**
   * The same for many connections, whose token sets are all promoted first: they are recorded together or not at all.
   *
   * @throws {PosternError} what the vault answers, `completeAuthorization`, and `executeTogether`
   */
  async recordTogether(all: readonly Completed[], actor: Actor): Promise<Executed<Connection, ConnectionEvent>[]> {
    const changes: Parameters<Connections['executeTogether']>[0][number][] = [];
    await eachOf(all, authorizationLimits.importInFlightMax, async ({ tenantId, connectionId, ...known }) => {
      const promoted = await this.#promote({ tenantId, connectionId, ...known });
      changes.push({
        ref: { tenantId, id: connectionId },
        decide: (connection, { nowMs }) => {
          const command = { ...known, ...promoted, ...this.#endedByRefresh(connection, known) };
          return completeAuthorization({ ...command, nowMs }, connection);
        },
      });
    });
    crashPoint('after its tokens were promoted', all[0]?.connectionId ?? '');
    return await this.#connections.executeTogether(changes, { actor, ...commitOrigin() });
  }

  /** The vault, which knows no catalog, ends leases by what is recorded here. */
  #endedByRefresh({ providerId, session }: Connection, { grant }: Known) {
    const policy = this.#providers.refreshPolicyOf(providerId, session?.providerVersion);
    // Another token that is asked for leaves the one before alone; only a spent refresh token may end it.
    if (policy.endsAccessToken !== true || (grant !== undefined && renewableGrants.includes(grant))) return {};
    return { endedByRefresh: { leadMs: policy.leadS * 1_000, graceMs: policy.endedAccessTokenGraceS * 1_000 } };
  }

  async #promote({ tenantId, connectionId, sessionId }: Completed) {
    const reply = await this.#operations.call(
      operations.promoteCredential,
      { app: 'authorization' },
      { tenant_id: tenantId, connection_id: connectionId, session_id: sessionId },
    );
    return {
      credentialVersion: reply.credential_version,
      accessTokenExpiresAtMs: reply.access_token_expires_at_ms,
      grantedScopes: reply.granted_scopes,
      hasRefreshToken: reply.has_refresh_token,
    };
  }
}
