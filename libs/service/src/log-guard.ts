import { isPosternError, PosternError, type ErrorCode, type StreamKey } from '@postern/contracts';
import { checkServer, checkStreams, type ClockReading } from '@postern/nats';
import type { Counter } from './metrics.ts';
import type { ServiceParts } from './service-module.ts';

/** What makes a log that must not be used; anything else (silence, a lost bus) is no verdict on it. */
const verdicts: ReadonlySet<ErrorCode> = new Set(['log.config_differs', 'servers.too_old']);

type GuardParts = Pick<ServiceParts, 'bus' | 'config' | 'logger' | 'metrics' | 'readiness' | 'clock'>;

/**
 * @internal Refuses to start on a log that is not what the promises rest on, and sees to it that it stays so.
 *
 * A stream that somebody changes afterwards makes the service not ready, until it is put right.
 */
export class LogGuard {
  readonly #parts: GuardParts;
  readonly #streams: readonly StreamKey[];
  readonly #differences: Counter;
  #problem: string | undefined;
  #skewMs = 0;
  #clockIsWrong = false;
  #looking = false;
  #stopped = false;
  #stopWatching: () => void = () => undefined;

  constructor(parts: GuardParts, streams: readonly StreamKey[]) {
    this.#parts = parts;
    this.#streams = streams;
    this.#differences = parts.metrics.counter('postern.stream.differences');
  }

  /** @throws {PosternError} `servers.too_old`, `log.config_differs`, `log.unavailable`; `config.invalid` for the clock. */
  async begin(): Promise<void> {
    const { bus, config, metrics, readiness } = this.#parts;
    const wrong = beyond(await this.#check(), config.clockSkewMsMax);
    if (wrong !== undefined) throw clocksDisagree(wrong, config.clockSkewMsMax);
    if (this.#stopped) return;
    readiness.add('streams', () => this.#problem ?? true);
    metrics.gauge('postern.clock.skew', () => this.#skewMs / 1_000);
    const timer = setInterval(() => void this.#look(), config.streamCheckIntervalMs);
    timer.unref();
    // It may be another server now, or one that was set up anew.
    const stopListening = bus.onStatus(({ type }) => {
      if (type === 'reconnected') void this.#look();
    });
    this.#stopWatching = () => {
      clearInterval(timer);
      stopListening();
    };
  }

  stop(): void {
    this.#stopped = true;
    this.#stopWatching();
  }

  async #look(): Promise<void> {
    if (this.#looking || !this.#parts.bus.isConnected) return;
    this.#looking = true;
    try {
      const readings = await this.#check();
      if (this.#stopped) return;
      this.#noteClocks(readings);
      this.#note(undefined);
    } catch (error) {
      if (this.#stopped) return;
      if (isPosternError(error) && verdicts.has(error.code)) this.#note(error);
      else this.#parts.logger.warn('the streams could not be looked at', { err: error });
    } finally {
      this.#looking = false;
    }
  }

  async #check(): Promise<readonly ClockReading[]> {
    const { bus, clock } = this.#parts;
    checkServer(bus);
    const readings = await checkStreams(bus, this.#streams, clock);
    this.#skewMs = readings.map(({ skewMs }) => skewMs).reduce(further, 0);
    return readings;
  }

  #note(error: PosternError | undefined): void {
    const { logger } = this.#parts;
    if (error !== undefined) this.#differences.add();
    if (this.#problem === error?.message) return;
    this.#problem = error?.message;
    if (error === undefined) logger.info('the streams are as they must be again');
    else logger.error('the log is not as it must be; not ready until it is', { err: error });
  }

  #noteClocks(readings: readonly ClockReading[]): void {
    const { config, logger } = this.#parts;
    const wrong = beyond(readings, config.clockSkewMsMax);
    if (wrong !== undefined && !this.#clockIsWrong) {
      logger.error('the clocks drifted apart', { err: clocksDisagree(wrong, config.clockSkewMsMax) });
    }
    this.#clockIsWrong = wrong !== undefined;
  }
}

function further(a: number, b: number): number {
  return Math.abs(b) > Math.abs(a) ? b : a;
}

/** The reading that is out of bounds, however long its answer was under way. */
function beyond(readings: readonly ClockReading[], skewMsMax: number): ClockReading | undefined {
  return readings.find(({ skewMs, uncertaintyMs }) => Math.abs(skewMs) - uncertaintyMs > skewMsMax);
}

function clocksDisagree({ ownMs, serverMs, skewMs }: ClockReading, skewMsMax: number): PosternError {
  const [own, server] = [ownMs, serverMs].map((ms) => new Date(ms).toISOString());
  const apart = `${Math.round(Math.abs(skewMs))}ms apart, and POSTERN_CLOCK_SKEW_MAX allows ${skewMsMax}ms`;
  const reason = `is exceeded: it is ${own} here and ${server} at nats-server`;
  return new PosternError(
    'config.invalid',
    `It is ${own} here and ${server} at nats-server: ${apart}. Let both machines keep the time (NTP).`,
    { details: { fields: [{ path: 'POSTERN_CLOCK_SKEW_MAX', reason }] } },
  );
}
