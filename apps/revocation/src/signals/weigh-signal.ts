import { Injectable } from '@nestjs/common';
import type { Signal, SignalEvidence } from '@postern/contracts';
import { decideOnSignal, isSuspected, weightOf, type Connection, type SignalWeight } from '@postern/domain';
import { commitOrigin, eachOf, Logger } from '@postern/service';

import { accountFactOf, type AccountMatch } from '../accounts/account-rows.ts';
import { AccountIndex } from '../accounts/account-index.ts';
import { Connections } from '../connections.ts';
import { AskProvider, type Asked } from '../inquiry/ask-provider.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { ReadSignal, type ReadSignalResult } from './read-signal.ts';
import type { Weighed } from './weighed-signals.ts';

/** A signal as it stands on SIGNALS. */
export interface StoredSignal {
  readonly signal: Signal;
  readonly position: number;
}

/** What became of one connection. */
type Fate = 'revoked' | 'suspected' | 'disproved' | Exclude<SignalWeight, 'proof' | 'hint'>;

interface Decided {
  readonly fate: Fate;
  /** Only where the provider had no answer yet. */
  readonly againAfterMs?: number;
}

/** The strongest first: what a signal came to is the strongest that it did to anybody. */
const byStrength: readonly Fate[] = ['revoked', 'suspected', 'disproved', 'recorded', 'outdated', 'moot'];

/** Finds whom a signal is about, and decides for each of them. */
@Injectable()
export class WeighSignal {
  constructor(
    private readonly reading: ReadSignal,
    private readonly index: AccountIndex,
    private readonly connections: Connections,
    private readonly provider: AskProvider,
    private readonly logger: Logger,
  ) {}

  /**
   * @effect appends at most one commit a connection; repeated after a crash it finishes what is left, because each
   *   decision is taken on what the leader of the log holds.
   * @throws {PosternError} `signal.index_unavailable`, `log.*`, `bus.*`: weigh it again
   */
  async weigh(stored: StoredSignal): Promise<Weighed> {
    const { signal } = stored;
    const said = await this.reading.read(signal);
    if (said === undefined) return { outcome: 'unreadable', matched: 0, revoked: 0, suspected: 0 };
    if (said.means === 'stream_verified') return { outcome: 'recorded', matched: 0, revoked: 0, suspected: 0 };
    const fates = new Map<Fate, number>();
    let againAfterMs: number | undefined;
    for await (const matches of this.index.find({ registration: signal, digests: said.digests })) {
      await eachOf(matches, revocationLimits.signalFanOutMax, async (match) => {
        const decided = await this.#decide(stored, said, match);
        if (decided === undefined) return;
        fates.set(decided.fate, (fates.get(decided.fate) ?? 0) + 1);
        if (decided.againAfterMs !== undefined) againAfterMs = Math.max(againAfterMs ?? 0, decided.againAfterMs);
      });
    }
    return {
      outcome: byStrength.find((fate) => fates.has(fate)) ?? 'unmatched',
      matched: [...fates.values()].reduce((sum, count) => sum + count, 0),
      revoked: fates.get('revoked') ?? 0,
      suspected: fates.get('suspected') ?? 0,
      ...(againAfterMs !== undefined && { againAfterMs }),
    };
  }

  async #decide(
    stored: StoredSignal,
    said: ReadSignalResult,
    { connectionId, accountKey }: AccountMatch,
  ): Promise<Decided | undefined> {
    const { tenantId, registrationId } = stored.signal;
    const command = { means: said.means, evidence: evidenceOf(stored, said, accountKey) };
    let weight: SignalWeight | undefined;
    const { state, appended } = await this.connections.execute(
      { tenantId, id: connectionId },
      (current) => {
        weight = undefined;
        // Deleted, or authorized by another account since, which the index may not know yet.
        if (!said.digests.includes(accountFactOf(current, 0).accountKeys[accountKey] ?? '')) return [];
        // Authorized through another registration since: who signs for this one has no say.
        const isTheirs = current.registrationId === registrationId;
        weight = isTheirs ? weightOf(command, current) : 'moot';
        return isTheirs ? decideOnSignal(command, current) : [];
      },
      { actor: { type: 'service', id: 'revocation' }, ...commitOrigin(), fromLeader: true },
    );
    if (weight === undefined) return undefined;
    const fate = fateOf(state, { weight, position: stored.position });
    if (appended) this.logger.info('a signal decided', { tenantId, connectionId, fate, position: stored.position });
    // Also when a crash came between the record and the question.
    if (fate !== 'suspected' || state.credential?.signal?.position !== stored.position) return { fate };
    return afterAsking(await this.provider.about({ tenantId, connectionId, evidence: command.evidence }));
  }
}

/** What this signal decided before a crash counts as decided by it, whatever it would be worth now. */
function fateOf(after: Connection, { weight, position }: { weight: SignalWeight; position: number }): Fate {
  const { credential, authorization } = after;
  if (credential?.signal?.position === position) {
    if (authorization !== 'authorized') return 'revoked';
    return isSuspected(after) ? 'suspected' : 'disproved';
  }
  if (weight === 'proof') return 'moot';
  if (weight === 'hint') return authorization === 'authorized' ? 'suspected' : 'moot';
  return weight;
}

function afterAsking(asked: Asked): Decided {
  if (asked.kind === 'again') return { fate: 'suspected', againAfterMs: asked.retryAfterMs ?? 0 };
  if (asked.kind === 'unknown') return { fate: 'suspected' };
  return { fate: asked.kind === 'confirmed' ? 'revoked' : 'disproved' };
}

function evidenceOf(
  { signal, position }: StoredSignal,
  { occurredAtMs }: ReadSignalResult,
  matchedBy: string,
): SignalEvidence {
  const { source, type, deliveryId, receivedAtMs, verified } = signal;
  const by = 'transmitterId' in verified ? { transmitterId: verified.transmitterId } : {};
  return { source, type, deliveryId, position, occurredAtMs, receivedAtMs, matchedBy, ...by };
}
