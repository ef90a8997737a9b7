import { busError, isNoResponders } from './bus-errors.ts';
import type { Bus } from './bus.ts';

/** A running instance of a service, as it answers `$SRV.PING`. */
export interface ServiceInstance {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Who is there: every instance of an app that answers in time. */
export async function instancesOf(
  bus: Bus,
  app: string,
  { timeoutMs = 300 }: { readonly timeoutMs?: number | undefined } = {},
): Promise<ServiceInstance[]> {
  const found: ServiceInstance[] = [];
  try {
    const answers = await bus.connection.requestMany(`$SRV.PING.${app}`, undefined, {
      strategy: 'timer',
      maxWait: timeoutMs,
    });
    for await (const answer of answers) {
      const { id, name, version, metadata } = answer.json<Partial<ServiceInstance>>();
      if (id !== undefined) found.push({ id, name: name ?? app, version: version ?? '', metadata: metadata ?? {} });
    }
  } catch (error) {
    if (!isNoResponders(error)) throw busError(error);
  }
  return found;
}
