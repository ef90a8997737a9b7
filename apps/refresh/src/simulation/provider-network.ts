import type { Secret } from '@postern/crypto';
import type { Failed, ProviderClient, Refreshed, Refusal } from '@postern/provider-client';

import type { HeldClaim } from '../claim/held-claim.ts';
import type { RefreshingClient } from '../spend/provider-clients.ts';
import type { Intervals } from './intervals.ts';
import type { Call, Invariants } from './invariants.ts';
import type { SimProcess } from './process.ts';
import type { CallRecord, ProviderServer } from './provider-server.ts';
import type { ProviderRules } from './providers.ts';
import type { World } from './world.ts';

/** How a provider is out of order. */
type Outage = 'unreachable' | 'unavailable' | 'throttling';

const failure = (error: string, more: Partial<Failed> = {}): Failed => ({
  kind: 'failed',
  error,
  errorDescription: null,
  httpStatus: null,
  retryAfterMs: null,
  mayHaveBeenProcessed: false,
  ...more,
});

const answersInOutage: Readonly<Record<Outage, Failed>> = {
  unreachable: failure('unreachable'),
  unavailable: failure('http_503', { httpStatus: 503 }),
  throttling: failure('http_429', { httpStatus: 429, retryAfterMs: 7_000 }),
};

export interface ProviderNetworkOptions {
  readonly world: World;
  readonly server: ProviderServer;
  readonly invariants: Invariants;
  readonly providerTimeoutMs: number;
  readonly rulesOf: (connectionId: string) => ProviderRules;
  readonly providerOf: (connectionId: string) => string;
  /** Notes when which provider was out of order. */
  readonly outages: Intervals;
}

/** The way to the providers: slow, lossy, and at times to nowhere. */
export class ProviderNetwork {
  readonly #options: ProviderNetworkOptions;
  readonly #outages = new Map<string, Outage>();

  constructor(options: ProviderNetworkOptions) {
    this.#options = options;
  }

  begin(providerId: string): void {
    const { world } = this.#options;
    const outage = world.random.pick<Outage>(['unreachable', 'unavailable', 'throttling']);
    this.#outages.set(providerId, outage);
    this.#options.outages.begin(providerId, world.nowMs);
    world.trace('', `${providerId} is out of order (${outage})`);
  }

  end(providerId: string): void {
    const { world, outages } = this.#options;
    if (!this.#outages.delete(providerId)) return;
    outages.end(providerId, world.nowMs);
    world.trace('', `${providerId} is back`);
  }

  /** In the place of `ProviderClients` of one process. */
  clientsOf(process: SimProcess): { of(held: HeldClaim): Promise<RefreshingClient> } {
    return {
      of: async (held) => {
        await process.cross('client credential');
        const client = {
          refresh: ({ refreshToken }: { refreshToken: Secret }) => this.#refresh(process, held, refreshToken.reveal()),
          revoke: async ({ token }: { token: Secret }) => await this.revoke(process, held.connectionId, token.reveal()),
        };
        const { rule } = this.#options.rulesOf(held.connectionId);
        return { client: client as unknown as ProviderClient, mayRotate: rule !== 'stable' };
      },
    };
  }

  /** @source RFC 7009 §2.1 */
  async revoke(process: SimProcess, connectionId: string, token: string): Promise<{ kind: 'revoked' }> {
    await process.reach('revocation endpoint', () => this.#options.server.revoke(token));
    this.#options.world.trace(connectionId, `${process.name}: told the provider that ${token} is over`);
    return { kind: 'revoked' };
  }

  /** What the client waits for ends at its time limit; what is under way goes on without it. */
  async #refresh(process: SimProcess, held: HeldClaim, token: string): Promise<Refreshed | Refusal> {
    const { world, invariants, providerTimeoutMs } = this.#options;
    const { connectionId } = held;
    const call = invariants.callBegins(process, held, token);
    const { promise, resolve } = Promise.withResolvers<Refreshed | Refusal>();
    const callOff = process.clock.after(providerTimeoutMs, () =>
      resolve(failure('timeout', { mayHaveBeenProcessed: true })),
    );
    void this.#travel(call, held, token).then(resolve);
    const answer = await promise;
    callOff();
    call.ends();
    const said = answer.kind === 'refreshed' ? '' : ` (${answer.error})`;
    world.trace(connectionId, `${process.name}: the provider's answer: ${answer.kind}${said}`);
    await process.cross('← token endpoint');
    return answer;
  }

  async #travel(call: Call, { connectionId, claimId }: HeldClaim, token: string): Promise<Refreshed | Refusal> {
    const { world, server } = this.#options;
    const trouble = world.strikes('provider') ? world.random.between(1, 5) : 0;
    await world.timeline.sleep(trouble === 1 ? world.random.between(5_000, 40_000) : world.random.between(20, 400));
    const outage = this.#outages.get(this.#options.providerOf(connectionId));
    if (outage !== undefined) return answersInOutage[outage];
    if (trouble === 2) return failure('unreachable');
    const record = server.refresh({ claimId, token, isAwaited: call.isAwaited });
    world.trace(connectionId, `provider: ${token} of ${world.nameOf(claimId)}: ${record.refused ?? 'new tokens'}`);
    await world.timeline.sleep(trouble === 3 ? world.random.between(5_000, 40_000) : world.random.between(5, 100));
    if (trouble === 4) return failure('interrupted', { mayHaveBeenProcessed: true });
    if (trouble === 5) return failure('http_500', { httpStatus: 500, mayHaveBeenProcessed: true });
    return answerOf(record);
  }
}

function answerOf({ issued, refused }: CallRecord): Refreshed | Refusal {
  if (issued !== undefined) return { kind: 'refreshed', tokenSet: issued, rotated: issued.refreshToken !== null };
  return { kind: 'rejected', error: 'invalid_grant', errorDescription: refused ?? null, httpStatus: 400 };
}
