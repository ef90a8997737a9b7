import { newId } from '@postern/contracts';

/** Headers of requests and replies on the bus. */
export const callHeaders = Object.freeze({
  correlationId: 'Postern-Correlation-Id',
  error: 'Nats-Service-Error',
  errorCode: 'Nats-Service-Error-Code',
  /** On a request: the caller wants to hear that it is worked on. On an empty reply: it is. */
  beat: 'Postern-Beat',
});

/** The correlation id of a caller, if it is one that may stand in a log line; otherwise a new one. */
export function correlationIdOf(text: string | undefined): string {
  return text !== undefined && /^[A-Za-z0-9_.:-]{1,128}$/.test(text) ? text : newId('correlation');
}
