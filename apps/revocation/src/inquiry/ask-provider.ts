import { Injectable } from '@nestjs/common';
import { isPosternError, operations, type SignalEvidence } from '@postern/contracts';
import { decideOnVerdict, inquiryOf, isSuspected, type Connection, type DecideOnVerdict } from '@postern/domain';
import type { Loaded } from '@postern/event-log';
import type { IntrospectOutcome, ProbeOutcome } from '@postern/provider-client';
import { Clock, commitOrigin, Logger, Metrics, OperationsClient, withCall, type CallOptions } from '@postern/service';

import { Connections } from '../connections.ts';
import { ProviderClients, type InquiringClient } from '../provider/provider-clients.ts';
import { VaultSecrets } from '../provider/vault-secrets.ts';

/**
 * What came of a question to the provider. `unknown`: it cannot be asked, or said nothing that means anything; `again`:
 * the same, for now.
 */
export type Asked =
  | { readonly kind: 'confirmed' | 'disproved' | 'unknown' }
  | { readonly kind: 'again'; readonly retryAfterMs: number | null };

/** A suspected connection, and the signal that made it so. */
export interface Suspicion {
  readonly tenantId: string;
  readonly connectionId: string;
  readonly evidence: SignalEvidence;
}

type Method = DecideOnVerdict['method'];
type Suspected = Loaded<Connection>;

const unknown: Asked = Object.freeze({ kind: 'unknown' });
const again = (retryAfterMs: number | null = null): Asked => ({ kind: 'again', retryAfterMs });

/** A refresh that ended so has confirmed the suspicion; whatever else stops one says nothing of the grant. */
const refused: ReadonlySet<string> = new Set(['connection.reauthorization_required', 'connection.revoked']);

/**
 * Asks the only one who knows whether a suspected grant lives: by introspection of the refresh token, else by a refresh
 * of the suspected version, else by a call of the provider's API.
 */
@Injectable()
export class AskProvider {
  constructor(
    private readonly connections: Connections,
    private readonly clients: ProviderClients,
    private readonly secrets: VaultSecrets,
    private readonly operations: OperationsClient,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly metrics: Metrics,
  ) {}

  /**
   * @effect one call of the provider, and what it said in the log. Asked again it asks again, unless it is decided.
   * @throws {PosternError} when nobody could be asked because something of ours was away: ask again
   */
  async about(suspicion: Suspicion): Promise<Asked> {
    const { tenantId, connectionId } = suspicion;
    const loaded = await this.connections.load({ tenantId, id: connectionId }, { fromLeader: true });
    if (!isSuspected(loaded.state)) return unknown;
    try {
      const asked = await this.#ask(suspicion, loaded);
      this.metrics.counter('postern.inquiries').add(1, { provider: loaded.state.providerId, outcome: asked.kind });
      this.logger.info('a provider was asked about a suspected grant', { tenantId, connectionId, outcome: asked.kind });
      return asked;
    } catch (error) {
      if (!isPosternError(error) || error.row.delivery !== 'term') throw error;
      this.logger.warn('a provider could not be asked', { tenantId, connectionId, code: error.code, err: error });
      // The vault says so while somebody else may be spending the token.
      return error.code === 'auth.forbidden' ? again() : unknown;
    }
  }

  async #ask(suspicion: Suspicion, loaded: Suspected): Promise<Asked> {
    const { state } = loaded;
    const client = await this.#client(state);
    const introspects = state.credential?.hasRefreshToken === true && (await introspectionOf(client));
    switch (inquiryOf(state, { introspects, nowMs: this.clock.nowMs() })) {
      case 'refresh_token':
        return client === undefined ? unknown : await this.#introspect(suspicion, loaded, client);
      case 'access_token':
        return client === undefined ? unknown : await this.#probe(suspicion, loaded, client);
      case 'refresh':
        return await this.#refresh(state);
      case 'nothing':
        return unknown;
    }
  }

  /** @returns undefined where the registration allows none: an operator must mend it, and `refresh` says so. */
  async #client(connection: Connection): Promise<InquiringClient | undefined> {
    const { tenantId, connectionId } = connection;
    try {
      return await this.clients.inquiring(connection);
    } catch (error) {
      if (!isPosternError(error) || error.row.delivery !== 'term') throw error;
      this.logger.warn('there is no client to ask a provider with', { tenantId, connectionId, code: error.code });
      return undefined;
    }
  }

  async #introspect(suspicion: Suspicion, loaded: Suspected, client: InquiringClient): Promise<Asked> {
    const token = await this.#token(loaded, 'refresh_token');
    if (token === undefined) return again();
    const introspect = () => client.introspect({ token, hint: 'refresh_token' });
    const outcome = await withCall('postern.provider.introspect', introspect, spanAt(loaded));
    if (outcome.kind !== 'failed') return await this.#decide(suspicion, loaded, verdictOfIntrospection(outcome));
    // An endpoint that does not take our client never will: a refresh tells as well.
    return outcome.retryable ? again(outcome.retryAfterMs) : await this.#refresh(loaded.state);
  }

  async #probe(suspicion: Suspicion, loaded: Suspected, client: InquiringClient): Promise<Asked> {
    const token = await this.#token(loaded, 'access_token');
    if (token === undefined) return again();
    const outcome = await withCall('postern.provider.probe', () => client.probe(token), spanAt(loaded));
    if (outcome.kind !== 'failed') return await this.#decide(suspicion, loaded, verdictOfProbe(outcome));
    return outcome.retryable ? again(outcome.retryAfterMs) : unknown;
  }

  /** A refresh that cannot be now is scheduled by `refresh` itself, which records whatever the provider says. */
  async #refresh({ tenantId, platformId, connectionId, credential }: Connection): Promise<Asked> {
    const version = credential?.version ?? 0;
    const request = { connection_id: connectionId, credential_version: version };
    try {
      const reply = await this.operations.call(operations.refreshConnection, { tenantId, platformId }, request);
      return { kind: reply.credential_version > version ? 'disproved' : 'unknown' };
    } catch (error) {
      if (!isPosternError(error) || error.code === 'bus.unavailable') throw error;
      return { kind: refused.has(error.code) ? 'confirmed' : 'unknown' };
    }
  }

  /** @returns undefined when it is not of the version that was looked at. */
  async #token({ state }: Suspected, kind: 'access_token' | 'refresh_token') {
    const { tenantId, connectionId, credential } = state;
    const released = await this.secrets.suspectedToken({ tenantId, connectionId, kind });
    return released?.credentialVersion === credential?.version ? released?.token : undefined;
  }

  async #decide(
    { tenantId, connectionId, evidence }: Suspicion,
    asked: Suspected,
    said: Pick<DecideOnVerdict, 'verdict' | 'method' | 'error'>,
  ): Promise<Asked> {
    const credentialVersion = asked.state.credential?.version ?? 0;
    const command = { ...said, credentialVersion, askedAtPosition: asked.position, evidence };
    const { appended } = await this.connections.execute(
      { tenantId, id: connectionId },
      (current, { loaded }) => decideOnVerdict(command, current, loaded.position),
      { actor: { type: 'service', id: 'revocation' }, ...commitOrigin(), fromLeader: true },
    );
    if (!appended) return again();
    return { kind: said.verdict === 'dead' ? 'confirmed' : 'disproved' };
  }
}

/** A provider whose metadata cannot be had is left to `refresh`, which has its own patience with it. */
async function introspectionOf(client: InquiringClient | undefined): Promise<boolean> {
  if (client === undefined) return false;
  try {
    return (await client.discover()).endpoints.introspectionEndpoint !== null;
  } catch (error) {
    if (isPosternError(error)) return false;
    throw error;
  }
}

function verdictOfIntrospection({ kind }: Exclude<IntrospectOutcome, { kind: 'failed' }>) {
  return { verdict: kind === 'active' ? ('alive' as const) : ('dead' as const), method: introspection, error: null };
}

function verdictOfProbe({ kind, error }: Exclude<ProbeOutcome, { kind: 'failed' }>) {
  return { verdict: kind, method: 'probe' as const, error };
}

const introspection: Method = 'introspection';

function spanAt({ state }: Suspected): CallOptions {
  return { attributes: { 'postern.provider.id': state.providerId } };
}
