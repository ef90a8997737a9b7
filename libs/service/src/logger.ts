import { trace } from '@opentelemetry/api';
import { pino, type DestinationStream, type Logger as Pino } from 'pino';
import { printable } from './printable.ts';
import { currentCorrelationId } from './request-context.ts';

/** Facts of a log line. Anything may stand here: what must not print, does not. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface LoggerOptions {
  readonly level: string;
  /** Stands in every line: the app and its instance. */
  readonly base: Readonly<Record<string, string>>;
  /** Standard output when not given. */
  readonly destination?: DestinationStream;
}

/**
 * Writes one JSON object a line: the sentence as `msg`, the facts beside it, with the correlation and trace ids of
 * what is being worked on.
 *
 * Redaction is by construction, not by a list of names: a `Secret` prints `[secret]`, bytes print as their length,
 * errors lose everything but class, code, message and stack.
 */
export class Logger {
  readonly #pino: Pino;

  constructor({ level, base, destination }: LoggerOptions) {
    const options = {
      level,
      base,
      mixin,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: levelName },
      // pino's own would read the message once more, out of what was made printable.
      serializers: { err: (printed: unknown) => printed },
    };
    this.#pino = destination === undefined ? pino(options) : pino(options, destination);
  }

  debug(message: string, fields?: LogFields): void {
    this.#write('debug', message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#write('info', message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#write('warn', message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#write('error', message, fields);
  }

  fatal(message: string, fields?: LogFields): void {
    this.#write('fatal', message, fields);
  }

  #write(level: 'debug' | 'info' | 'warn' | 'error' | 'fatal', message: string, fields: LogFields = {}): void {
    if (this.#pino.isLevelEnabled(level)) this.#pino[level](printable(fields) as object, '%s', message);
  }
}

function levelName(level: string): object {
  return { level };
}

function mixin(): object {
  const correlationId = currentCorrelationId();
  const span = trace.getActiveSpan()?.spanContext();
  return {
    ...(correlationId === undefined ? {} : { correlation_id: correlationId }),
    ...(span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId }),
  };
}
