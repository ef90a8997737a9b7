import type { LoggerService } from '@nestjs/common';
import { Logger } from './logger.ts';

/** Nest's own words go the way of ours: one JSON object a line, nothing printed that must not be. */
export class NestLogger implements LoggerService {
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Nest tells every route and module it maps: that is for debugging. */
  log(message: unknown, ...rest: unknown[]): void {
    this.#logger.debug(...line(message, rest));
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.#logger.error(...line(message, rest));
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.#logger.warn(...line(message, rest));
  }

  debug(message: unknown, ...rest: unknown[]): void {
    this.#logger.debug(...line(message, rest));
  }

  verbose(message: unknown, ...rest: unknown[]): void {
    this.#logger.debug(...line(message, rest));
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    this.#logger.fatal(...line(message, rest));
  }
}

/** Nest passes its context last, and sometimes a stack before it. */
function line(message: unknown, rest: unknown[]): [string, Record<string, unknown>] {
  const source = rest.at(-1);
  const fields = { nest: typeof source === 'string' ? source : 'Nest' };
  if (message instanceof Error) return [message.message, { ...fields, err: message }];
  if (typeof message === 'string') return [message, fields];
  return ['Nest', { ...fields, detail: message }];
}
