import { PosternError } from '@postern/contracts';
import { trace, TraceFlags, type Context } from '@opentelemetry/api';
import type { Environment } from './config.ts';

/** Of a hundred traces one is kept, unless `OTEL_TRACES_SAMPLER` says otherwise: a lease is cheap because of it. */
const ratioDefault = 0.01;
/**
 * So many traces a second are kept because a caller wishes it. A platform can put the wish into any request, and would
 * otherwise decide what a lease costs.
 */
const wishedPerSMax = 100;

const samplers = ['always_on', 'always_off', 'traceidratio'] as const;

/** @throws {PosternError} `config.invalid` for a sampler or a ratio that is none. */
export function ratioOf(env: Environment): number {
  const { OTEL_TRACES_SAMPLER: given, OTEL_TRACES_SAMPLER_ARG: argument } = env;
  if (!given) return ratioDefault;
  // Every one of ours heeds its parent: a trace of which only some hops are kept helps nobody.
  const sampler = samplers.find((known) => given === known || given === `parentbased_${known}`);
  if (sampler === undefined) {
    throw new PosternError(
      'config.invalid',
      `OTEL_TRACES_SAMPLER must be one of ${samplers.join(', ')}, or parentbased_ and one of them.`,
    );
  }
  if (sampler !== 'traceidratio') return sampler === 'always_on' ? 1 : 0;
  const ratio = argument === undefined || argument === '' ? 1 : Number(argument);
  if (ratio >= 0 && ratio <= 1) return ratio;
  throw new PosternError('config.invalid', 'OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1.');
}

/** Which traces are kept: decided before anything of a span is made. */
export class Sampling {
  readonly #ratio: number;
  readonly #random: () => number;
  readonly #nowMs: () => number;
  #second = 0;
  #wished = 0;

  constructor(ratio: number, { random = Math.random, nowMs = () => performance.now() } = {}) {
    this.#ratio = ratio;
    this.#random = random;
    this.#nowMs = nowMs;
  }

  /** Is what begins here kept? A caller's decision counts, within {@link wishedPerSMax}. */
  keeps(caller: Context): boolean {
    const span = trace.getSpanContext(caller);
    if (span === undefined) return this.#ratio === 1 || (this.#ratio > 0 && this.#random() < this.#ratio);
    if ((span.traceFlags & TraceFlags.SAMPLED) === 0) return false;
    return this.#ratio === 1 || this.#mayFollow();
  }

  #mayFollow(): boolean {
    const second = Math.floor(this.#nowMs() / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#wished = 0;
    }
    this.#wished += 1;
    return this.#wished <= wishedPerSMax;
  }
}
