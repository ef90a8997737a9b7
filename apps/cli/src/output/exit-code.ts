import { isPosternError } from '@postern/contracts';

/** 0 done; 1 the thing asked is not so; 2 usage; 3 a dependency is unreachable. */
export const exitCodes = Object.freeze({ done: 0, notSo: 1, usage: 2, unreachable: 3 });

const unreachable = new Set([
  'bus.unavailable',
  'bus.timeout',
  'log.unavailable',
  'service.not_ready',
  'servers.not_found',
  'vault.key_service_unavailable',
  'vault.database_unavailable',
  'audit.database_unavailable',
  'webhook.log_unavailable',
]);

/** The exit code that an error means to a script. */
export function exitCodeOf(error: unknown): number {
  if (!isPosternError(error)) return exitCodes.unreachable;
  if (unreachable.has(error.code) || error.code.startsWith('servers.')) return exitCodes.unreachable;
  return error.code === 'request.malformed' || error.code === 'config.invalid' ? exitCodes.usage : exitCodes.notSo;
}
