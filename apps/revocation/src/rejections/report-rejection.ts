import { Injectable } from '@nestjs/common';
import {
  limits,
  operations,
  rejectionSource,
  Scopes,
  type ConnectionEvent,
  type RejectionReply,
  type ReportedRejection,
  type Signal,
  type TokenRejection,
} from '@postern/contracts';
import {
  freshnessOf,
  missingScopesOf,
  recordInsufficientScope,
  requireClaims,
  requireOwnedBy,
  weightOfRejection,
  type Connection,
} from '@postern/domain';
import type { Call } from '@postern/nats';
import { refusalMeaningOf, type RefusalMeaning } from '@postern/provider-catalog';
import { challengeParameters, claimsIn } from '@postern/provider-client';
import { callingOwner, Clock, commitOrigin, Logger, Metrics, Serves, type CallingOwner } from '@postern/service';

import { Connections } from '../connections.ts';
import { Directory } from '../directory.ts';
import { ProviderFiles } from '../provider/provider-files.ts';
import { RevocationConfig } from '../revocation-config.ts';
import { SignalStore } from '../signals/signal-store.ts';
import { evidenceOfRejection, rejectionType } from './rejection-evidence.ts';

/** A report, who made it, and the connection as the leader has it. */
interface Report {
  readonly request: TokenRejection;
  readonly requester: CallingOwner;
  readonly challenge: ReadonlyMap<string, string>;
  readonly state: Connection;
  readonly position: number;
}

type Outcome = RejectionReply['outcome'];

/** What is told, and the connection after it. */
interface Told {
  readonly outcome: Outcome;
  readonly state: Connection;
  readonly position: number;
  readonly more?: Pick<RejectionReply, 'missing_scopes' | 'reauthorize_url'>;
}

/**
 * Answers `tokens.rejected`: a platform says that the provider's API refused a token that it leased.
 *
 * Its word proves nothing about a grant, and is taken for its own connections alone: so it need not prove the lease,
 * whose id is kept as evidence beside what ACCESS holds (docs/adr/0025).
 */
@Injectable()
export class ReportRejection {
  constructor(
    private readonly config: RevocationConfig,
    private readonly connections: Connections,
    private readonly directory: Directory,
    private readonly files: ProviderFiles,
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
    const challenge = challengeParameters(request.www_authenticate);
    const told = await this.#told({ request, requester, challenge, state, position });
    const { outcome, more } = told;
    this.metrics.counter('postern.rejections').add(1, { provider: state.providerId, outcome });
    const freshness = freshnessOf(told.state, { nowMs: this.clock.nowMs() });
    return { connection_id: state.connectionId, outcome, ...more, position: told.position, freshness };
  }

  async #told(report: Report): Promise<Told> {
    const { request, state } = report;
    const meaning = this.#meaningOf(report);
    const { means } = meaning;
    if (means === 'no_verdict') return unchanged(report, 'no_verdict');
    if (state.authorization !== 'authorized') return unchanged(report, 'over');
    if (state.credential?.version !== request.credential_version) return unchanged(report, 'outdated');
    if (means === 'scope_missing') return await this.#scopeMissing(report, meaning);
    if (means === 'claims_missing') return await this.#claimsMissing(report);
    return unchanged(report, await this.#tokenRejected(report, meaning));
  }

  #meaningOf({ request, challenge, state }: Report): RefusalMeaning {
    const { status: httpStatus, error = null } = request;
    const api = this.files.of(state)?.api ?? { tokenProbe: null, errors: [] };
    return refusalMeaningOf(api, { httpStatus, error, challenge: challenge.get('error') ?? null });
  }

  async #scopeMissing(report: Report, { word }: RefusalMeaning): Promise<Told> {
    const { request, challenge } = report;
    const inChallenge = (challenge.get('scope') ?? '').split(/[\s,]+/).filter((scope) => scope !== '');
    const named = Scopes.safeParse([...new Set([...(request.needed_scopes ?? []), ...inChallenge])]);
    const neededScopes = named.success ? named.data : (request.needed_scopes ?? []);
    const error = word ?? 'insufficient_scope';
    const { state, position } = await this.#record(report, (current) =>
      recordInsufficientScope({ credentialVersion: request.credential_version, neededScopes, error }, current),
    );
    const more = { missing_scopes: missingScopesOf(state, neededScopes) };
    return { outcome: 'scope_missing', state, position, more };
  }

  async #claimsMissing(report: Report): Promise<Told> {
    const claims = claimsIn(report.challenge);
    if (claims === null) return unchanged(report, 'no_verdict');
    const credentialVersion = report.request.credential_version;
    const { state, position } = await this.#record(report, (current) =>
      requireClaims({ credentialVersion, claims }, current),
    );
    const more = { reauthorize_url: `${this.config.publicUrl}/connect/${state.connectionId}` };
    return { outcome: 'claims_required', state, position, more };
  }

  async #record({ state, requester }: Report, decide: (current: Connection) => ConnectionEvent[]) {
    const ref = { tenantId: state.tenantId, id: state.connectionId };
    return await this.connections.execute(ref, decide, {
      actor: requester.actor,
      ...commitOrigin(),
      fromLeader: true,
    });
  }

  async #tokenRejected({ request, state }: Report, { word }: RefusalMeaning): Promise<Outcome> {
    const signal = this.#signalOf(request, state, word);
    const evidence = evidenceOfRejection(signal, 1);
    const weight = weightOfRejection(
      { refused: 'access_token', credentialVersion: request.credential_version, evidence },
      state,
    );
    if (weight === 'moot') return 'over';
    if (weight !== 'hint') return weight;
    const stored = await this.store.store(signal);
    const { tenantId, registrationId, deliveryId } = signal;
    this.logger.info('a platform reports a refused token', { tenantId, registrationId, deliveryId, stored });
    return 'suspected';
  }

  /**
   * One a connection, version and interval: a platform that says it with every call fills nothing, and what it says
   * later, when the provider may think otherwise, is heard again.
   */
  #signalOf(
    { credential_version: credentialVersion, lease_id: leaseId, status: httpStatus }: TokenRejection,
    ...[{ tenantId, platformId, registrationId, connectionId }, word]: [Connection, string | null]
  ): Signal {
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
      body: { connectionId, leaseId, credentialVersion, httpStatus, error: word } satisfies ReportedRejection,
    };
  }
}

function unchanged({ state, position }: Report, outcome: Outcome): Told {
  return { outcome, state, position };
}
