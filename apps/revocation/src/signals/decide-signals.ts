import { Controller } from '@nestjs/common';
import { inspectionSource, PosternError, rejectionSource, Signal, subjects } from '@postern/contracts';
import type { WorkMessage } from '@postern/nats';
import { annotate, Clock, Logger, Metrics, Works } from '@postern/service';

import { revocationLimits } from '../revocation-limits.ts';
import { Bridges } from './bridges.ts';
import { WeighRejection } from '../rejections/weigh-rejection.ts';
import { WeighSignal } from './weigh-signal.ts';
import { WeighedSignals, type Weighed } from './weighed-signals.ts';

const { signalConcurrencyMax, signalWorkingIntervalMs, unmatchedRetriedMs } = revocationLimits;
const { unmatchedRetryDelayMsMin, unmatchedRetryDelayMsMax } = revocationLimits;
const { inquiryRetryDelayMsMin, inquiryRetryDelayMsMax, inquiryRetriedMs } = revocationLimits;

/** These name one token of one connection, and no account. */
const ofOneToken: ReadonlySet<string> = new Set([rejectionSource, inspectionSource]);

/**
 * Works off SIGNALS from a durable consumer: what was answered is weighed, however often something dies in between. It
 * is acknowledged when every connection is decided and the outcome is kept.
 */
@Controller()
export class DecideSignals {
  constructor(
    private readonly bridges: Bridges,
    private readonly weighing: WeighSignal,
    private readonly rejections: WeighRejection,
    private readonly weighed: WeighedSignals,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly metrics: Metrics,
  ) {}

  @Works('signalDecisions', { concurrencyMax: signalConcurrencyMax })
  async decide(payload: unknown, message: WorkMessage): Promise<void> {
    const signal = await this.bridges.checked(signalIn(payload, message), message.timeMs);
    const beat = setInterval(() => message.working(), signalWorkingIntervalMs);
    try {
      const weigher = ofOneToken.has(signal.source) ? this.rejections : this.weighing;
      const weighed = await weigher.weigh({ signal, position: message.position });
      await this.weighed.keep(signal, message.position, weighed);
      if (weighed.outcome === 'unmatched' && this.#mayYetMatch(signal)) return message.nak(retryDelayMs(message));
      const askAgainMs = this.#askAgainMs(signal, weighed, message);
      if (askAgainMs !== undefined) return message.nak(askAgainMs);
      this.#tell(signal, weighed);
    } finally {
      clearInterval(beat);
    }
  }

  /** Whoever was authorizing when it came may not be in the log yet. */
  #mayYetMatch({ receivedAtMs }: Signal): boolean {
    return this.clock.nowMs() - receivedAtMs < unmatchedRetriedMs;
  }

  /** A provider that had no answer is asked again for a while; what it is about stays suspected. */
  #askAgainMs({ receivedAtMs }: Signal, { againAfterMs }: Weighed, { deliveries }: WorkMessage): number | undefined {
    if (againAfterMs === undefined || this.clock.nowMs() - receivedAtMs > inquiryRetriedMs) return undefined;
    const doubledMs = inquiryRetryDelayMsMin * 2 ** Math.min(deliveries - 1, 10);
    return Math.max(Math.min(inquiryRetryDelayMsMax, doubledMs), againAfterMs);
  }

  #tell({ source, tenantId, registrationId, type, deliveryId, receivedAtMs }: Signal, weighed: Weighed): void {
    const { outcome } = weighed;
    // One that names nobody is weighed again and again, and would hide how long the others take.
    if (outcome !== 'unmatched') {
      const seconds = this.metrics.histogram('postern.signal.decision.duration');
      seconds.observe(Math.max(0, this.clock.nowMs() - receivedAtMs) / 1_000);
    }
    annotate(() => ({ 'postern.signal.source': source, 'postern.signal.outcome': outcome }));
    this.metrics.counter('postern.signals').add(1, { source, outcome });
    this.logger.info('a signal was weighed', { source, tenantId, registrationId, type, deliveryId, ...weighed });
  }
}

/** @throws {PosternError} `log.message_damaged`: it never will be one */
function signalIn(payload: unknown, { subject }: WorkMessage): Signal {
  const parsed = Signal.safeParse(payload);
  if (parsed.success && subjects.signal(parsed.data) === subject) return parsed.data;
  throw new PosternError('log.message_damaged', 'A message of SIGNALS is no signal of its subject.');
}

function retryDelayMs({ deliveries }: WorkMessage): number {
  return Math.min(unmatchedRetryDelayMsMax, unmatchedRetryDelayMsMin * 2 ** Math.min(deliveries - 1, 10));
}
