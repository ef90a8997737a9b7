import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { story } from '../demo/story.ts';
import { withWorld, type World } from '../demo/world.ts';
import { table } from '../output/printer.ts';
import { Clients } from './clients.ts';
import { leasesAgainstRecords, type LeaseCount } from './lease-records.ts';
import { seededRandom } from './random.ts';
import {
  eventsOf,
  playRound,
  targets,
  type RoundPlan,
  type RoundResult,
  type SeenEvent,
  type Target,
} from './round.ts';

export interface DrillOptions {
  readonly times: number;
  readonly seed: number;
  /** Whom the rounds kill. */
  readonly only: readonly Target[];
  /** Clients lease over NATS and over HTTP all the time, instead of waiting for each round's expired token. */
  readonly leases: boolean;
  readonly onProgress: (sentence: string) => void;
  /** A round has ended. */
  readonly onRound: (sentence: string) => void;
}

export interface DrillReport {
  readonly seed: number;
  readonly rounds: readonly RoundResult[];
  readonly tokenCalls: number;
  readonly claimsReleased: number;
  readonly leases: LeaseCount;
  readonly lines: readonly string[];
}

/** Short, so that each round begins with an expired token soon. */
const accessTokenTtlS = 1;
/** A refresh takes some 50 ms here; the kill falls before, into or after it. */
const killAfterMsMax = 120;
const logLinesShown = 40;

/**
 * Kills services and servers at random moments of the story's step 4, and checks what must hold afterwards: never two
 * calls at the token endpoint for one claim, never a commit that was there and is gone, a connection that lives or says
 * truthfully why it does not, and a record of every lease that a client received.
 *
 * @throws when one of these does not hold; the message has the seed and the round.
 */
export async function killDrill({
  times,
  seed,
  only,
  leases,
  onProgress,
  onRound,
}: DrillOptions): Promise<DrillReport> {
  const random = seededRandom(seed);
  const plans: RoundPlan[] = Array.from({ length: times }, () => ({
    target: only[Math.floor(random() * only.length)] ?? 'vault',
    killAfterMs: Math.floor(random() * killAfterMsMax),
  }));
  return withWorld(onProgress, async (world) => {
    await story[0]?.run(world);
    await story[1]?.run(world);
    await world.acme.setAccessTokenTtl(accessTokenTtlS);
    const clients = new Clients(world);
    if (leases) await clients.start();
    const rounds: RoundResult[] = [];
    let before: SeenEvent[] = await eventsOf(world);
    for (const [index, plan] of plans.entries()) {
      try {
        rounds.push(await playRound(world, clients, plan));
        before = await nothingIsGone(world, before);
        await oneCallAClaim(world);
      } catch (cause) {
        await clients.stop();
        onProgress(lastWords(world, plan.target));
        throw new Error(
          `seed ${seed}, round ${index + 1} (${plan.target} after ${plan.killAfterMs} ms): ${String(cause)}`,
          { cause },
        );
      }
      onRound(
        `${index + 1}/${times}  ${plan.target.padEnd(12)} ${rounds.at(-1)?.ending}  (${rounds.at(-1)?.recoveredMs} ms)`,
      );
    }
    await clients.stop();
    const { calls, released } = await oneCallAClaim(world);
    const count = await leasesAgainstRecords(world, clients.received);
    return { seed, rounds, tokenCalls: calls, claimsReleased: released, leases: count, lines: summary(rounds) };
  });
}

/** What whoever was killed last wrote: the data folder is gone when the drill has ended. */
function lastWords({ session }: World, target: Target): string {
  const path = join(session.folder.logDir, `${target}.log`);
  if (!existsSync(path)) return `${target} has no log of its own`;
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n').slice(-logLinesShown);
  return [`the end of ${target}.log:`, ...lines].join('\n');
}

/** What stood in the log before stands there still, in the same place. */
async function nothingIsGone(world: World, before: readonly SeenEvent[]): Promise<SeenEvent[]> {
  const now = await eventsOf(world);
  for (const [index, event] of before.entries()) {
    const same = now[index];
    if (same?.commitId !== event.commitId || same.position !== event.position) {
      throw new Error(`the commit ${event.commitId} at position ${event.position} is gone`);
    }
  }
  return now;
}

/** Acme counted no more refreshes than claims for which the vault has released a token. */
async function oneCallAClaim(world: World): Promise<{ calls: number; released: number }> {
  // Acme first: a claim is released before it is spent, so that what is counted now stands in the log by then.
  const { tokenCalls } = await world.acme.report();
  const events = await eventsOf(world);
  const calls = tokenCalls.filter(({ grantType }) => grantType === 'refresh_token').length;
  const claims = events.filter(({ type }) => type === 'RefreshTokenReleased').map(({ data }) => data['claimId']);
  const released = new Set(claims).size;
  if (claims.length !== released) throw new Error('one claim was released twice');
  if (calls > released) throw new Error(`${calls} calls at the token endpoint for ${released} released claims`);
  return { calls, released };
}

function summary(rounds: readonly RoundResult[]): string[] {
  const endings = [...new Set(rounds.map(({ ending }) => ending))].toSorted();
  const row = (name: string, of: readonly RoundResult[]) => [
    name,
    String(of.length),
    ...endings.map((ending) => String(of.filter((round) => round.ending === ending).length)),
    String(Math.max(0, ...of.map(({ recoveredMs }) => recoveredMs))),
  ];
  return table([
    ['KILLED', 'ROUNDS', ...endings.map((ending) => ending.toUpperCase()), 'SLOWEST RECOVERY (MS)'],
    ...targets
      .map((target) => ({ target, its: rounds.filter((round) => round.target === target) }))
      .filter(({ its }) => its.length > 0)
      .map(({ target, its }) => row(target, its)),
    row('all', rounds),
  ]);
}
