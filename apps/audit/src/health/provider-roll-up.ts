import { timestampOf, type ConnectionHealth, type ProviderHealth } from '@postern/contracts';

import { hourMs } from '../models/access-model.ts';
import type { AttemptFailure } from '../models/attempts.ts';
import type { HealthFacts } from './health-facts.ts';

const dayMs = 24 * hourMs;
/** Fewer than these have no provider's outage between them, whatever fails. */
export const waveMin = 3;
/** A share of those that were tried since: then it is the provider, and not they. */
export const downShareMin = 0.5;
const shakyShareMin = 0.1;
const namedMax = 20;

/** Such a failure says that the provider, and not one grant, is in trouble. */
const providersTrouble: ReadonlySet<AttemptFailure> = new Set([
  'unreachable',
  'provider_error',
  'rate_limited',
  'refused',
]);

interface Trouble {
  readonly connectionId: string;
  readonly sinceMs: number;
  readonly health: Pick<ConnectionHealth, 'state' | 'reason'>;
}

interface Judgement extends Pick<ProviderHealth, 'state' | 'reason'> {
  readonly sinceMs: number | null;
  /** Whose trouble is the provider's. */
  readonly wave: ReadonlySet<Trouble>;
}

interface Wave {
  readonly count: number;
  /** Of those that were refreshed since. */
  readonly well: number;
  readonly sinceMs: number;
}

/**
 * What the connections of one provider say together.
 *
 * Whether a provider is down is asked of those that were tried: since some moment several connections began to fail, and
 * no more than as many were refreshed. So one dead grant among forty is one dead grant, forty failing ones are an outage
 * however many were well an hour ago, and a grant that dies during an outage is named beside it: the provider said so of
 * that one, and no outage says that.
 *
 * It keeps a number a connection that is well, and a line for each that is not.
 */
export class ProviderRollUp {
  readonly #providerId: string;
  readonly #nowMs: number;
  readonly #byState = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  readonly #successes: number[] = [];
  readonly #failing: Trouble[] = [];
  readonly #died: Trouble[] = [];
  /** Failures that are not the provider's, nor a wave's. */
  readonly #own: Trouble[] = [];
  readonly #refusedRegistrations = new Map<string, number>();
  readonly #tenantsFailing = new Set<string>();
  #connections = 0;

  constructor(providerId: string, nowMs: number) {
    this.#providerId = providerId;
    this.#nowMs = nowMs;
  }

  add(facts: HealthFacts, health: Pick<ConnectionHealth, 'state' | 'reason'>, tenantId: string): void {
    if (health.state === 'deleted') return;
    const { connectionId, failingSinceMs, failingKind, lastSuccessAtMs, grantDiedAtMs } = facts;
    const since = this.#nowMs - dayMs;
    this.#connections += 1;
    this.#byState.set(health.state, (this.#byState.get(health.state) ?? 0) + 1);
    if (lastSuccessAtMs !== null && lastSuccessAtMs >= since) this.#successes.push(lastSuccessAtMs);
    if (facts.authorization !== 'authorized') {
      const trouble = { connectionId, health, sinceMs: grantDiedAtMs ?? 0 };
      if (grantDiedAtMs !== null && grantDiedAtMs >= since) this.#died.push(trouble);
      return;
    }
    if (health.state === 'late') this.#own.push({ connectionId, health, sinceMs: facts.accessEndsAtMs ?? 0 });
    if (failingSinceMs === null || failingKind === null) return;
    this.#tenantsFailing.add(tenantId);
    this.#failures.set(failingKind, (this.#failures.get(failingKind) ?? 0) + 1);
    const trouble = { connectionId, health, sinceMs: failingSinceMs };
    if (providersTrouble.has(failingKind)) this.#failing.push(trouble);
    // Many were called dead at once, and none of them is believed to be: they count as what they may be.
    else if (failingKind === 'grant_doubted') this.#died.push(trouble);
    else this.#own.push(trouble);
    if (failingKind === 'registration_refused') {
      const id = facts.registrationId;
      this.#refusedRegistrations.set(id, Math.min(failingSinceMs, this.#refusedRegistrations.get(id) ?? Infinity));
    }
  }

  /** @param ofAll whether tenants are counted, which is nobody's business who asks for one */
  verdict({ ofAll }: { readonly ofAll: boolean }): ProviderHealth {
    this.#successes.sort((one, other) => one - other);
    const { state, reason, sinceMs, wave } = this.#judge();
    return {
      provider: this.#providerId,
      state,
      reason,
      since: sinceMs === null ? null : timestampOf(sinceMs),
      connections: this.#connections,
      by_state: Object.fromEntries(this.#byState),
      failing: [...this.#failures.values()].reduce((sum, count) => sum + count, 0),
      failures: Object.fromEntries(this.#failures),
      died: this.#died.length,
      ...(ofAll && { tenants_failing: this.#tenantsFailing.size }),
      by_themselves: this.#byThemselves(wave),
    };
  }

  #judge(): Judgement {
    const down = waveOf(this.#failing, this.#successes, downShareMin);
    if (down !== undefined) {
      const reason = `${down.count} of ${down.count + down.well} connections that were tried since ${timestampOf(down.sinceMs)} fail.`;
      return { state: 'down', reason, sinceMs: down.sinceMs, wave: membersOf(down, this.#failing) };
    }
    if (this.#refusedRegistrations.size > 0) {
      const names = [...this.#refusedRegistrations.keys()].slice(0, namedMax).join(', ');
      const reason = `It refuses our client registration: ${names}. Correct its secret or key; no grant is at fault.`;
      return {
        state: 'refusing_registration',
        reason,
        sinceMs: Math.min(...this.#refusedRegistrations.values()),
        wave: none,
      };
    }
    const dying = waveOf(this.#died, this.#successes, downShareMin);
    if (dying !== undefined) {
      const reason = `${dying.count} grants were called dead since ${timestampOf(dying.sinceMs)}, and ${dying.well} refreshed: look at the provider and at our client registration before asking users.`;
      return { state: 'grants_dying', reason, sinceMs: dying.sinceMs, wave: membersOf(dying, this.#died) };
    }
    const shaky = waveOf(this.#failing, this.#successes, shakyShareMin);
    if (shaky !== undefined) {
      const reason = `${shaky.count} connections fail since ${timestampOf(shaky.sinceMs)}, and ${shaky.well} were refreshed.`;
      return { state: 'shaky', reason, sinceMs: shaky.sinceMs, wave: membersOf(shaky, this.#failing) };
    }
    return this.#few();
  }

  /** Too few fail to tell it from the provider: what was refreshed since decides. */
  #few(): Judgement {
    const sinceMs = Math.min(...this.#failing.map((one) => one.sinceMs));
    if (this.#failing.length > 0 && countSince(this.#successes, sinceMs) === 0) {
      const reason = `${this.#failing.length} fail since ${timestampOf(sinceMs)} and no other was tried: it may be the provider, or they.`;
      return { state: 'unclear', reason, sinceMs, wave: none };
    }
    const alone = this.#failing.length + this.#own.length + this.#died.length;
    const reason =
      alone === 0 ? 'Nothing fails.' : `It answers; ${alone} of ${this.#connections} have trouble of their own.`;
    return { state: 'ok', reason, sinceMs: null, wave: none };
  }

  #byThemselves(wave: ReadonlySet<Trouble>): ProviderHealth['by_themselves'] {
    return [...this.#died, ...this.#failing, ...this.#own]
      .filter((one) => !wave.has(one))
      .toSorted((one, other) => one.sinceMs - other.sinceMs)
      .slice(0, namedMax)
      .map(({ connectionId, health: { state, reason } }) => ({ connection_id: connectionId, state, reason }));
  }
}

const none: ReadonlySet<Trouble> = new Set();

const membersOf = ({ sinceMs }: Wave, troubles: readonly Trouble[]): ReadonlySet<Trouble> =>
  new Set(troubles.filter((one) => one.sinceMs >= sinceMs));

/**
 * The most connections that began to fail since some moment and are, of those that were tried since, such a share.
 * Whoever has been failing for longer does not hide them, and is not counted in.
 */
function waveOf(troubles: readonly Trouble[], successes: readonly number[], shareMin: number): Wave | undefined {
  const newestFirst = troubles.toSorted((one, other) => other.sinceMs - one.sinceMs);
  let wave: Wave | undefined;
  for (const [index, { sinceMs }] of newestFirst.entries()) {
    const count = index + 1;
    if (count < waveMin) continue;
    const well = countSince(successes, sinceMs);
    if (count / (count + well) >= shareMin) wave = { count, well, sinceMs };
  }
  return wave;
}

/** How many of these, in order, are not before. */
function countSince(sorted: readonly number[], sinceMs: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? Infinity) < sinceMs) low = middle + 1;
    else high = middle;
  }
  return sorted.length - low;
}
