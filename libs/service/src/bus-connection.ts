import { setTimeout as delay } from 'node:timers/promises';
import { isPosternError, PosternError, type AppName } from '@postern/contracts';
import { Bus, connectBus, keepRenewed } from '@postern/nats';
import type { Environment } from './config.ts';
import { readConfigFile } from './config-files.ts';
import type { Logger } from './logger.ts';
import type { ServiceConfig } from './service-config.ts';

const retryMsMin = 250;
const retryMsMax = 5_000;

export interface BusConnection {
  readonly app: AppName;
  readonly config: ServiceConfig;
  readonly env: Environment;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Connects to the bus, however long that takes: services and servers start in any order. Each attempt is told.
 *
 * @throws {PosternError} `service.not_ready` when the service is stopped meanwhile; at once what waiting cannot mend.
 */
export async function reachBus({ app, config, env, logger, signal }: BusConnection): Promise<Bus> {
  const servers = config.natsUrl.split(',').map((url) => url.trim());
  const name = `${app}-${config.instanceId}`;
  const creds = newestCreds(config, env);
  for (let attempt = 1; ; attempt += 1) {
    try {
      const bus = await connectBus({ servers, creds, identity: app, name });
      renew(bus, creds(), logger);
      return bus;
    } catch (error) {
      if (!isPosternError(error) || error.row.retry !== 'later') throw error;
      logger.warn(`waiting for the bus at ${servers.join(', ')}`, { attempt, reason: error.message });
    }
    await delay(Math.min(retryMsMax, retryMsMin * 2 ** Math.min(attempt - 1, 8)), undefined, { signal }).catch(() => {
      throw new PosternError('service.not_ready', 'The service was stopped while it waited for the bus.');
    });
  }
}

/**
 * Users of the bus are short-lived: whoever renews one writes its file anew, and it is taken from there while the old
 * one still lives. A file that cannot be read for a moment changes nothing.
 */
function newestCreds({ natsCreds }: ServiceConfig, env: Environment): () => string {
  let newest = natsCreds.reveal();
  return () => {
    const read = readConfigFile(env['POSTERN_NATS_CREDS_FILE'] ?? '', { secret: true });
    if ('content' in read && read.content !== '') newest = read.content;
    return newest;
  };
}

function renew(bus: Bus, creds: string, logger: Logger): void {
  const stop = keepRenewed(bus, {
    creds,
    onRenewed: () => logger.info('the bus user was renewed'),
    onError: ({ code, message }) =>
      logger.warn('the bus user could not be renewed; it is tried again', { code, reason: message }),
  });
  void bus.closed.then(stop);
}
