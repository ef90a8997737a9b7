import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { newId, subjects } from '@postern/contracts';

export type RacerOrder =
  | { readonly kind: 'connect'; readonly servers: readonly string[]; readonly creds: string; readonly identity: string }
  | { readonly kind: 'append'; readonly subject: string; readonly expectedPosition: number };

export type RacerAnswer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'won'; readonly position: number; readonly messageId: string }
  | { readonly kind: 'lost'; readonly code: string };

export interface RaceOptions {
  readonly servers: readonly string[];
  readonly creds: string;
  readonly identity: string;
  readonly processes: number;
  readonly rounds: number;
}

export interface RaceResult {
  readonly subject: string;
  /** Who won each round: all of them, so that more than one shows. */
  readonly winners: readonly (readonly Extract<RacerAnswer, { kind: 'won' }>[])[];
  /** How often each refusal was heard. */
  readonly refusals: Readonly<Record<string, number>>;
}

/** Processes that append to one subject at once, each round after the last round's winner. */
export async function race({ processes, rounds, ...connect }: RaceOptions): Promise<RaceResult> {
  const racers = Array.from({ length: processes }, startRacer);
  const subject = subjects.connection({ tenantId: newId('tenant'), connectionId: newId('connection') });
  const winners: Extract<RacerAnswer, { kind: 'won' }>[][] = [];
  const refusals: Record<string, number> = {};
  try {
    await tellAll(racers, { kind: 'connect', ...connect });
    for (let round = 0; round < rounds; round += 1) {
      const expectedPosition = winners.at(-1)?.[0]?.position ?? 0;
      const answers = await tellAll(racers, { kind: 'append', subject, expectedPosition });
      winners.push(answers.filter((answer) => answer.kind === 'won'));
      for (const answer of answers) {
        if (answer.kind === 'lost') refusals[answer.code] = (refusals[answer.code] ?? 0) + 1;
      }
    }
    return { subject, winners, refusals };
  } finally {
    await Promise.all(racers.map(end));
  }
}

function startRacer(): ChildProcess {
  const execArgv = ['--conditions=@postern/source', '--disable-warning=ExperimentalWarning'];
  return fork(join(import.meta.dirname, 'racer.ts'), { execArgv, env: { PATH: process.env['PATH'] } });
}

async function tellAll(racers: readonly ChildProcess[], order: RacerOrder): Promise<RacerAnswer[]> {
  return await Promise.all(racers.map((racer) => tell(racer, order)));
}

async function tell(racer: ChildProcess, order: RacerOrder): Promise<RacerAnswer> {
  const listening = new AbortController();
  const { signal } = listening;
  const ended = once(racer, 'exit', { signal }).then(() => {
    throw new Error('a racer ended before it answered');
  });
  const answered = once(racer, 'message', { signal }).then(([answer]) => answer as RacerAnswer);
  racer.send(order);
  try {
    return await Promise.race([answered, ended]);
  } finally {
    listening.abort();
    await Promise.allSettled([answered, ended]);
  }
}

async function end(racer: ChildProcess): Promise<void> {
  if (racer.exitCode !== null || racer.signalCode !== null) return;
  const exited = once(racer, 'exit');
  racer.disconnect();
  await exited;
}
