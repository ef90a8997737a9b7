import { waitFor } from '@postern/testing';

import type { HttpAnswer } from '../demo/platform-client.ts';
import { endUser, goThroughConnect, type World } from '../demo/world.ts';
import type { Clients } from './clients.ts';

/** Whom a round kills, with -9, while leases meet an expired token. */
export const targets = ['gateway', 'vault', 'refresh', 'nats-server', 'postgres'] as const;
export type Target = (typeof targets)[number];

/** How a round ended for the connection. */
export type Ending = 'alive' | 'interrupted, healed' | 'interrupted, reauthorization required';

export interface RoundPlan {
  readonly target: Target;
  /** After the first request left, in milliseconds. */
  readonly killAfterMs: number;
}

export interface RoundResult extends RoundPlan {
  readonly ending: Ending;
  readonly recoveredMs: number;
}

const parallelRequests = 20;
/** A bound on failure: a busy machine may need several starts of a service. */
const recoveryMsMax = 300_000;

/** One round: the token expires, leases come, something is killed, and the connection is followed to its end. */
export async function playRound(
  world: World,
  clients: Clients,
  { target, killAfterMs }: RoundPlan,
): Promise<RoundResult> {
  // Clients that never rest renew the token themselves: then any moment is as good.
  if (!clients.busy) await untilExpired(world);
  const interruptedBefore = await countInterrupted(world);
  // The round before may have been over before whom it killed was started again.
  const pid = await running(world, target);
  const since = performance.now();
  const requests = Array.from({ length: parallelRequests }, () => clients.overHttp());
  await new Promise((resolve) => setTimeout(resolve, killAfterMs));
  process.kill(pid, 'SIGKILL');
  await Promise.all(requests);
  const answer = await settled(clients);
  const recoveredMs = Math.round(performance.now() - since);
  const interrupted = (await countInterrupted(world)) > interruptedBefore;
  if (answer.status === 200) {
    return { target, killAfterMs, recoveredMs, ending: interrupted ? 'interrupted, healed' : 'alive' };
  }
  if (!interrupted)
    throw new Error(`a re-authorization is required, but nothing was interrupted: ${JSON.stringify(answer.body)}`);
  await authorizeAgain(world);
  return { target, killAfterMs, recoveredMs, ending: 'interrupted, reauthorization required' };
}

async function running({ stack }: World, target: Target): Promise<number> {
  const pid = () => stack.processes().find(({ name }) => name === target)?.pid ?? 0;
  await waitFor(() => pid() !== 0, { timeoutMs: recoveryMsMax, describe: `${target} does not run` });
  return pid();
}

/** The first answer that is the connection's own, after everything stands again. */
async function settled(clients: Clients): Promise<HttpAnswer> {
  return waitFor(
    async () => {
      const answer = await clients.overHttp();
      const decided = answer.status === 200 || answer.body['code'] === 'connection.reauthorization_required';
      return decided ? answer : undefined;
    },
    { timeoutMs: recoveryMsMax, describe: 'the connection neither lives nor says that the end user must help' },
  );
}

async function untilExpired(world: World): Promise<void> {
  await waitFor(
    async () => {
      const { body } = await world.http
        .request('GET', `/v1/connections/${world.connectionId}`)
        .catch(() => ({ body: {} as Record<string, unknown> }));
      const freshness = body['freshness'] as { credential_expires_at: string } | undefined;
      return freshness !== undefined && Date.parse(freshness.credential_expires_at) < Date.now();
    },
    { timeoutMs: recoveryMsMax, describe: 'the token did not expire' },
  );
}

async function countInterrupted(world: World): Promise<number> {
  return (await eventsOf(world)).filter(({ type }) => type === 'RefreshInterrupted').length;
}

/** An event of the connection as the drill reads it from the log itself. */
export interface SeenEvent {
  readonly position: number;
  readonly commitId: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Every event of the drill's connection, from the log. */
export async function eventsOf({ session, tenantId, connectionId }: World): Promise<SeenEvent[]> {
  return waitFor(
    async () => {
      const events: SeenEvent[] = [];
      try {
        for await (const message of session.connections.read({ filter: `connection.1.${tenantId}.${connectionId}` })) {
          const read = session.reader.read(message);
          if (read.kind !== 'commit') throw new Error(`position ${message.position} is ${read.kind}: ${read.reason}`);
          const { commitId } = read.entry.commit;
          for (const { type, data } of read.entry.commit.events)
            events.push({ position: message.position, commitId, type, data });
        }
      } catch {
        return undefined;
      }
      return events;
    },
    { timeoutMs: recoveryMsMax, describe: 'the log cannot be read' },
  );
}

async function authorizeAgain(world: World): Promise<void> {
  const begun = await world.http.request('POST', `/v1/connections/${world.connectionId}/reauthorize`, {});
  const { sessionId, code } = await goThroughConnect(world, String(begun.body['connect_url']));
  const done = await world.http.request('POST', `/v1/connect/sessions/${sessionId}/complete`, {
    code,
    end_user: endUser,
  });
  if (done.status !== 200) throw new Error(`the re-authorization failed: ${JSON.stringify(done)}`);
}
