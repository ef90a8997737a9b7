import { readFileSync } from 'node:fs';

import { newId, PosternError, streamFilters } from '@postern/contracts';
import type { SigningPrivateJwk } from '@postern/crypto';
import { connectionEvolver, moveToEpoch, upcast, type Connection } from '@postern/domain';
import {
  aggregateOf,
  commitSigner,
  Repository,
  type AggregateRef,
  type AnyEvent,
  type EventLog,
} from '@postern/event-log';
import { JetStreamEventLog, readEpochs } from '@postern/nats';

import type { Progress } from '../output/progress.ts';
import { asIdentity } from '../session/as-identity.ts';
import type { Session } from '../session/session.ts';

/** So many connections are moved at a time, beside those who lease and refresh. */
const sweepConcurrency = 16;
const progressEvery = 500;

export interface Swept {
  readonly epoch: number;
  readonly moved: number;
}

/**
 * The connections that still need what stands before a position: they were not moved to the epoch that began there.
 *
 * @throws {PosternError} `log.version_unknown` at a commit from the future: its connection cannot be moved by this release.
 */
export async function standingBefore(
  { log, reader }: { readonly log: EventLog; readonly reader: Session['reader'] },
  { epoch, from }: { readonly epoch: number; readonly from: number },
): Promise<AggregateRef[]> {
  const standing = new Map<string, AggregateRef>();
  for await (const message of log.read({ filter: streamFilters.connections })) {
    const read = reader.read(message);
    if (read.kind === 'future') {
      throw new PosternError('log.version_unknown', `At position ${read.position}: ${read.reason}.`);
    }
    if (read.kind !== 'commit') continue;
    const { subject, position, commit } = read.entry;
    const { tenantId = '', id = '' } = aggregateOf(subject) ?? {};
    if (position < from) standing.set(subject, { tenantId, id });
    else if (commit.events.some(({ type, data }) => type === 'EpochOpened' && data['epoch'] === epoch)) {
      standing.delete(subject);
    }
  }
  return [...standing.values()];
}

/**
 * Moves every connection that stands before the open epoch into it, one commit each, while leases and refreshes go on:
 * each move is an append like any other, and whoever loses to it decides again.
 *
 * @effect May be repeated, and goes on where it was.
 */
export async function sweep(session: Session, progress: Progress): Promise<Swept> {
  const { folder, reader } = session;
  return await asIdentity(session, 'refresh', async (bus) => {
    const { starts } = await readEpochs(bus, 'connections');
    const epoch = starts.length;
    const log = new JetStreamEventLog({ bus, stream: 'connections' });
    const signer = commitSigner(
      'refresh',
      JSON.parse(readFileSync(folder.signingKeyFile('refresh'), 'utf8')) as SigningPrivateJwk,
    );
    const connections = new Repository<Connection, AnyEvent>({
      log,
      evolver: connectionEvolver as never,
      reader,
      signer,
      source: '/postern/cli',
      upcast,
    });
    const standing = epoch === 1 ? [] : await standingBefore({ log, reader }, { epoch, from: starts[epoch - 1] ?? 1 });
    const origin = { actor: { type: 'service', id: 'epochs' }, correlationId: newId('correlation') } as const;
    let moved = 0;
    const next = standing.values();
    const work = async () => {
      for (const ref of next) {
        const done = await connections.execute(
          ref,
          (state, { loaded: { revision, hash } }) =>
            // What only an intruder wrote to is no connection.
            hash === null ? [] : moveToEpoch({ epoch: epoch - 1, nextEpoch: epoch, revision, hash }, state),
          origin,
        );
        if (done.appended) moved += 1;
        if (moved % progressEvery === 0)
          progress.tell(`${moved} of ${standing.length} connections moved to epoch ${epoch}`);
      }
    };
    await Promise.all(Array.from({ length: sweepConcurrency }, work));
    return { epoch, moved };
  });
}
