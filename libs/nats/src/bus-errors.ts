import { isPosternError, PosternError } from '@postern/contracts';
import { JetStreamApiError } from '@nats-io/jetstream';
import { errors } from '@nats-io/nats-core';

function chain(error: unknown): unknown[] {
  const links: unknown[] = [];
  for (let link = error; link instanceof Error && links.length < 5; link = link.cause) links.push(link);
  return links;
}

/** Was it a refusal by the permissions of our user, or of that user? */
export function isPermissionError(error: unknown): boolean {
  return chain(error).some(
    (link) =>
      link instanceof errors.PermissionViolationError ||
      (link instanceof errors.AuthorizationError && !isAuthenticationTimeout(link)),
  );
}

/** The server waited in vain for our name: one of the two was busy, and nobody was refused. */
function isAuthenticationTimeout({ message }: Error): boolean {
  return /timeout/i.test(message);
}

export function isTimeout(error: unknown): boolean {
  return chain(error).some(
    (link) =>
      link instanceof errors.TimeoutError ||
      (link instanceof errors.AuthorizationError && isAuthenticationTimeout(link)),
  );
}

/** Nobody listens on that subject: the message went nowhere. */
export function isNoResponders(error: unknown): boolean {
  return chain(error).some((link) => link instanceof errors.NoRespondersError);
}

/** A failed request, as a coded error. */
export function busError(error: unknown): PosternError {
  if (isPosternError(error)) return error;
  if (isPermissionError(error)) {
    return new PosternError('auth.forbidden', 'The permissions on the bus do not allow that.', { cause: error });
  }
  if (isTimeout(error)) return new PosternError('bus.timeout', 'No answer came in time.', { cause: error });
  return new PosternError('bus.unavailable', 'The message bus does not answer.', { cause: error });
}

/** A failed question to a stream, as a coded error. */
export function logError(error: unknown): PosternError {
  if (isPosternError(error)) return error;
  if (isPermissionError(error)) return busError(error);
  const said = serverWords(error);
  const message = said === undefined ? 'The event log does not answer.' : `The event log answered: ${said}.`;
  return new PosternError('log.unavailable', message, { cause: error });
}

/** What JetStream itself said was wrong, with its code: the one thing that helps whoever reads it. */
function serverWords(error: unknown): string | undefined {
  const refusal = chain(error).find((link) => link instanceof JetStreamApiError);
  return refusal && `${refusal.message} (${refusal.code})`;
}
