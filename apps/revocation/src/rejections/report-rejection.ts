import { Injectable } from '@nestjs/common';
import {
  limits,
  operations,
  rejectionSource,
  type RejectionReply,
  type ReportedRejection,
  type Signal,
  type TokenRejection,
} from '@postern/contracts';
import { freshnessOf, requireOwnedBy, weightOfRejection, type Connection } from '@postern/domain';
import type { Call } from '@postern/nats';
import { loadCatalog, refusalMeaningOf, type RefusalMeaning } from '@postern/provider-catalog';
import { challengeParameters } from '@postern/provider-client';
import { callingOwner, Clock, Logger, Metrics, Serves } from '@postern/service';

import { Connections } from '../connections.ts';
import { Directory } from '../directory.ts';
import { SignalStore } from '../webhooks/signal-store.ts';
import { evidenceOfRejection, rejectionType } from './rejection-evidence.ts';

/**
 * Answers `tokens.rejected`: a platform says that the provider's API refused a token that it leased.
 *
 * Its word proves nothing about a grant, and is taken for its own connections alone: so it need not prove the lease,
 * whose id is kept as evidence beside what ACCESS holds (docs/adr/0021).
 */
@Injectable()
export class ReportRejection {
  readonly #catalog = loadCatalog();

  constructor(
    private readonly connections: Connections,
    private readonly directory: Directory,
    private readonly store: SignalStore,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly metrics: Metrics,
  ) {}

  @Serves(operations.reportRejection)
  async report(request: TokenRejection, call: Call): Promise<RejectionReply> {
    const requester = callingOwner(call);
    await this.directory.requireActive(requester);
    const ref = { tenantId: requester.tenantId, id: request.connection_id };
    const { state, position } = await this.connections.load(ref, { fromLeader: true });
    requireOwnedBy(state, requester);
    const outcome = await this.#weighed(request, state);
    this.metrics
      .counter('postern_rejections_total', "Platforms' reports of refused tokens, by what they came to")
      .add(1, { provider: state.providerId, outcome });
    const freshness = freshnessOf(state, { nowMs: this.clock.nowMs() });
    return { connection_id: state.connectionId, outcome, position, freshness };
  }

  async #weighed(request: TokenRejection, state: Connection): Promise<RejectionReply['outcome']> {
    const meaning = this.#meaningOf(request, state);
    if (meaning !== 'token_rejected') return 'no_verdict';
    const signal = this.#signalOf(request, state);
    const evidence = evidenceOfRejection(signal, 1);
    const weight = weightOfRejection({ credentialVersion: request.credential_version, evidence }, state);
    if (weight === 'moot') return 'over';
    if (weight !== 'hint') return weight;
    const stored = await this.store.store(signal);
    const { tenantId, registrationId, deliveryId } = signal;
    this.logger.info('a platform reports a refused token', { tenantId, registrationId, deliveryId, stored });
    return 'suspected';
  }

  #meaningOf(
    { status: httpStatus, error, www_authenticate: header }: TokenRejection,
    state: Connection,
  ): RefusalMeaning {
    const challenge = challengeParameters(header).get('error') ?? null;
    const api = this.#catalog.get(state.providerId)?.api ?? { tokenProbe: null, errors: [] };
    return refusalMeaningOf(api, { httpStatus, error: error ?? null, challenge });
  }

  /**
   * One a connection, version and interval: a platform that says it with every call fills nothing, and what it says
   * later, when the provider may think otherwise, is heard again.
   */
  #signalOf(request: TokenRejection, { tenantId, platformId, registrationId, connectionId }: Connection): Signal {
    const { credential_version: credentialVersion, lease_id: leaseId, status: httpStatus, error } = request;
    const receivedAtMs = this.clock.nowMs();
    const interval = Math.floor(receivedAtMs / limits.inquiryIntervalMs);
    return {
      version: 1,
      source: rejectionSource,
      tenantId,
      registrationId,
      deliveryId: `${connectionId}-${credentialVersion}-${interval}`,
      type: rejectionType,
      receivedAtMs,
      verified: { platformId },
      body: { connectionId, leaseId, credentialVersion, httpStatus, error: error ?? null } satisfies ReportedRejection,
    };
  }
}
