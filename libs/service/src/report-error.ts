import { isPosternError } from '@postern/contracts';
import type { Logger } from './logger.ts';

/**
 * Logs what went wrong at the level it deserves: a refusal is the caller's news, a crash is ours.
 *
 * @returns the code under which it is counted.
 */
export function reportError(logger: Logger, sentence: string, error: unknown): string {
  if (isPosternError(error) && error.row.status < 500) {
    logger.debug(sentence, { code: error.code, reason: error.message });
    return error.code;
  }
  const code = isPosternError(error) ? error.code : 'service.internal';
  logger.error(sentence, { code, err: error });
  return code;
}
