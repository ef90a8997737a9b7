import { Injectable } from '@nestjs/common';
import {
  inspectionSource,
  isPosternError,
  limits,
  type InactiveToken,
  type InspectionOutcome,
  type Signal,
} from '@postern/contracts';
import type { Secret } from '@postern/crypto';
import { lastHeardAtMs, type Connection } from '@postern/domain';
import { Clock, Logger, Metrics, withCall } from '@postern/service';

import { Connections } from '../connections.ts';
import type { InquiringClient } from '../provider/provider-clients.ts';
import { VaultSecrets } from '../provider/vault-secrets.ts';
import { SignalStore } from '../signals/signal-store.ts';

/** By which call a provider says whether a token lives: by introspection, or its API by that which its file names. */
export type Question = 'introspection' | 'probe';

/** What such a finding is called on SIGNALS. */
const deadType = { introspection: 'refresh_token_inactive', probe: 'access_token_refused' } as const;

/** A connection of a polled registration. */
export interface InspectedConnection {
  readonly tenantId: string;
  readonly connectionId: string;
  readonly registrationId: string;
  readonly providerId: string;
}

/** What a provider answered, in the words of either question. */
type Answer =
  | { readonly kind: 'alive' | 'dead' }
  | { readonly kind: 'failed'; readonly error: string; readonly retryAfterMs: number | null };

/** What came of a question. `not_due`: there was none, because somebody else asked or something happened meanwhile. */
export type Inspected =
  | { readonly kind: 'not_due' }
  | { readonly kind: 'asked'; readonly outcome: 'alive' | 'dead' }
  | { readonly kind: 'asked'; readonly outcome: 'no_answer'; readonly retryAfterMs: number | null };

/** Asks a provider about a grant that nobody suspects. */
@Injectable()
export class InspectGrant {
  constructor(
    private readonly connections: Connections,
    private readonly secrets: VaultSecrets,
    private readonly store: SignalStore,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly metrics: Metrics,
  ) {}

  /**
   * When the provider last had this connection's token before it; nothing is written for it anywhere else than
   * in the log, by whoever refreshes.
   *
   * @returns null where it is not to be asked now. @throws {PosternError} `log.*`
   */
  async heardAtMs(connection: InspectedConnection): Promise<number | null> {
    const state = await this.stateOf(connection);
    return state.registrationId === connection.registrationId ? lastHeardAtMs(state) : null;
  }

  /** As the log has it now. @throws {PosternError} `log.*` */
  async stateOf({ tenantId, connectionId }: InspectedConnection): Promise<Connection> {
    const { state } = await this.connections.load({ tenantId, id: connectionId }, { fromLeader: true });
    return state;
  }

  /**
   * A grant that the provider calls dead becomes a signal: it is stored before anything is decided, and weighed as a
   * hint, so that the provider is asked once more while nothing else happens to the connection.
   *
   * @effect one token shown to the provider, which the vault allows once in so many hours and records.
   * @throws {PosternError} what the vault answers; `log.*` when a finding could not be stored
   */
  async about(connection: InspectedConnection, client: InquiringClient, question: Question): Promise<Inspected> {
    const { tenantId, connectionId, providerId } = connection;
    const released = await this.#released(connection);
    if (released === null) return { kind: 'not_due' };
    const { token, credentialVersion } = released;
    const ask = () => (question === 'probe' ? probed(client, token) : introspected(client, token));
    const attributes = { 'postern.provider.id': providerId };
    const answer = await withCall(`postern.provider.${question === 'probe' ? 'probe' : 'introspect'}`, ask, {
      attributes,
    });
    if (answer.kind === 'dead') await this.store.store(this.#signalOf(connection, { credentialVersion, question }));
    const outcome: InspectionOutcome = answer.kind === 'failed' ? 'no_answer' : answer.kind;
    this.metrics.counter('postern.inspections').add(1, { provider: providerId, outcome });
    this.logger.info('a provider was asked about a grant that nobody suspects', {
      ...{ tenantId, connectionId, outcome },
      ...(answer.kind === 'failed' && { error: answer.error }),
    });
    if (answer.kind === 'failed') return { kind: 'asked', outcome: 'no_answer', retryAfterMs: answer.retryAfterMs };
    return { kind: 'asked', outcome: answer.kind };
  }

  async #released({ tenantId, connectionId }: InspectedConnection) {
    try {
      return await this.secrets.tokenForInspection(tenantId, connectionId);
    } catch (error) {
      if (isPosternError(error) && error.code === 'auth.forbidden') return null;
      throw error;
    }
  }

  #signalOf(
    { tenantId, registrationId, connectionId }: InspectedConnection,
    { credentialVersion, question }: { readonly credentialVersion: number; readonly question: Question },
  ): Signal {
    const receivedAtMs = this.clock.nowMs();
    const interval = Math.floor(receivedAtMs / limits.inspectionIntervalMsMin);
    return {
      version: 1,
      source: inspectionSource,
      tenantId,
      registrationId,
      deliveryId: `${connectionId}-${credentialVersion}-${interval}`,
      type: deadType[question],
      receivedAtMs,
      verified: { asked: question },
      body: { connectionId, credentialVersion } satisfies InactiveToken,
    };
  }
}

async function introspected(client: InquiringClient, token: Secret): Promise<Answer> {
  const answer = await client.introspect({ token, hint: 'refresh_token' });
  if (answer.kind !== 'failed') return { kind: answer.kind === 'active' ? 'alive' : 'dead' };
  const { error, retryable } = answer;
  // An endpoint that does not take our client: somebody must mend that first.
  return { kind: 'failed', error, retryAfterMs: retryable ? answer.retryAfterMs : limits.inspectionIntervalMsMin };
}

/** What the file has no row for may be about this token alone: the others do not wait for hours because of it. */
async function probed(client: InquiringClient, token: Secret): Promise<Answer> {
  const answer = await client.probe(token);
  if (answer.kind !== 'failed') return { kind: answer.kind };
  return { kind: 'failed', error: answer.error, retryAfterMs: answer.retryAfterMs };
}
