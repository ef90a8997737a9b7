import { isPosternError, PosternError } from '@postern/contracts';
import { checkDurability, connectBus, systemCreds, type OperatorBundle } from '@postern/nats';

/** The one setting that lets Postern run on acknowledgements that a power failure can take back. */
export const lazySyncVariable = 'POSTERN_ALLOW_LAZY_SYNC';

/** Long enough to ask once. */
const systemUserTtlMs = 60_000;

/** Where to ask, and as whom. */
export interface BusPlace {
  readonly servers: string;
  readonly bundle: OperatorBundle;
}

export interface Durability {
  readonly durable: boolean;
  /** A sentence for people. */
  readonly found: string;
}

/**
 * Asks every node, as a user of the system account, whether it syncs a message to disk before it acknowledges it.
 *
 * @returns not durable only where `POSTERN_ALLOW_LAZY_SYNC=true` says that this is known.
 * @throws {PosternError} `log.config_differs` naming the node and `sync_interval`, `config.invalid` for the setting,
 *   `bus.unavailable`.
 */
export async function proveDurability(
  { servers, bundle }: BusPlace,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Durability> {
  const isLazyAllowed = allowsLazySync(env);
  const creds = await systemCreds(bundle, { ttlMs: systemUserTtlMs });
  const bus = await connectBus({ servers, creds, identity: 'system', name: 'postern durability' });
  try {
    const nodes = await checkDurability(bus);
    return { durable: true, found: `synced before it is acknowledged, by ${nodes.toSorted().join(', ')}` };
  } catch (error) {
    if (!isPosternError(error) || error.code !== 'log.config_differs') throw error;
    const set = `${lazySyncVariable}=true`;
    if (!isLazyAllowed) {
      const sentence = `${error.message} To run all the same, where losing acknowledged events is no harm: ${set}.`;
      throw new PosternError(error.code, sentence, { cause: error });
    }
    return {
      durable: false,
      found: `${error.message} ${set} allows it: a power failure can lose acknowledged events.`,
    };
  } finally {
    await bus.close();
  }
}

function allowsLazySync(env: NodeJS.ProcessEnv): boolean {
  const written = env[lazySyncVariable] ?? '';
  if (written === '' || written === 'false') return false;
  if (written === 'true') return true;
  throw new PosternError('config.invalid', `${lazySyncVariable} must be true or false.`);
}
