import { setTimeout as delay } from 'node:timers/promises';

import { PosternError, streams } from '@postern/contracts';
import { readEpochs } from '@postern/nats';
import type { Command } from 'commander';

import { archiveOf } from './archive-of.ts';
import { table } from '../output/printer.ts';
import { createProgress, type Progress } from '../output/progress.ts';
import type { RunCommand, SessionRun } from '../run-command.ts';
import { asIdentity } from '../session/as-identity.ts';
import type { Session } from '../session/session.ts';
import { archive, type ArchivedStream } from './archive-log.ts';
import { drop } from './drop.ts';
import { keepEpochs } from './keep.ts';
import { bytesOf, millisecondsOf } from './measures.ts';
import { open } from './open.ts';
import { sweep } from './sweep.ts';

const archivedStreams: readonly ArchivedStream[] = ['connections', 'access'];
const stream = ['--log <stream>', 'CONNECTIONS, or ACCESS', 'CONNECTIONS'] as const;

/** `postern epochs …`: how the log is kept. */
export function epochCommands(program: Command, run: RunCommand): void {
  const epochs = program.command('epochs').description('how the log is kept: epochs, archives, and what is dropped');
  const withProgress = (work: (run: SessionRun, progress: Progress) => Promise<void>) =>
    run.withSession(async (session) => {
      const progress = createProgress();
      await work(session, progress).finally(() => progress.end());
    });

  epochs
    .command('list')
    .description('the epochs, and what of the log stands in its streams, in the archive, or both')
    .action(
      run.withSession(async ({ session, printer }) => {
        const told = await standing(session);
        printer.result(told, () => [
          ...table([
            ['log', 'stands', 'archived up to', 'bytes', 'of'],
            ...told.streams.map((one) => [
              one.stream,
              `${one.first_position} to ${one.last_position}`,
              String(one.archived_up_to),
              String(one.bytes),
              String(one.bytes_max),
            ]),
          ]),
          '',
          ...table([
            ['epoch', 'from position', ''],
            ...told.epochs.map(({ epoch, from, state }) => [String(epoch), String(from), state]),
          ]),
        ]);
      }),
    );

  epochs
    .command('open')
    .description('opens the next epoch; the one until now takes nothing more')
    .action(
      run.withSession(async ({ session, printer }) => {
        const opened = await open(session);
        printer.result(opened, () => [
          `Epoch ${opened.epoch} begins at position ${opened.from}: postern epochs sweep.`,
        ]);
      }),
    );

  epochs
    .command('sweep')
    .description('moves every connection into the open epoch, while leases and refreshes go on')
    .action(
      withProgress(async ({ session, printer }, progress) => {
        const swept = await sweep(session, progress);
        printer.result(swept, () => [`${swept.moved} connections moved to epoch ${swept.epoch}.`]);
      }),
    );

  epochs
    .command('archive')
    .description('writes closed epochs, or what ACCESS recorded before a time, to the archive, and verifies it')
    .option(...stream)
    .option('--before <time>', 'of ACCESS: what was recorded before this time (RFC 3339)')
    .action(
      withProgress(async ({ session, printer, options }, progress) => {
        const wanted = streamNamed(options['log']);
        const made = await archive(
          session,
          { stream: wanted, beforeMs: beforeOf(wanted, options['before']) },
          progress,
        );
        printer.result(made ?? null, () => [
          made === undefined
            ? 'There is nothing to archive: no closed epoch, or no record that old.'
            : `${made.stream}, positions ${made.from} to ${made.to}: ${made.messages} messages archived and verified.`,
        ]);
      }),
    );

  epochs
    .command('drop')
    .description('verifies the archive, and then drops what it holds from the stream')
    .option(...stream)
    .action(
      withProgress(async ({ session, printer, options }, progress) => {
        const gone = await drop(session, streamNamed(options['log']), progress);
        printer.result(gone ?? null, () => [
          gone === undefined
            ? 'There is nothing to drop: all that is archived is gone from the stream.'
            : `${gone.stream} is dropped up to position ${gone.up_to}: the archive answers for it now.`,
        ]);
      }),
    );

  epochs
    .command('keep')
    .description('one round of a policy: opens, sweeps, archives and drops what is due; for a timer')
    .option('--max-age <time>', 'an epoch ends when it is so old: 90m, 12h, 7d')
    .option('--max-bytes <size>', 'or when CONNECTIONS takes more: 500MiB, 2GiB')
    .option('--access-max-age <time>', 'older records of ACCESS are archived and dropped')
    .option('--every <time>', 'goes on until Ctrl-C, a round each time')
    .action(
      withProgress(async ({ session, printer, options }, progress) => {
        const { maxAge, maxBytes, accessMaxAge, every } = options;
        if (maxAge === undefined && maxBytes === undefined && accessMaxAge === undefined) {
          throw new PosternError('request.malformed', 'Name a policy: --max-age, --max-bytes or --access-max-age.');
        }
        const policy = {
          maxAgeMs: millisecondsOf(maxAge, '--max-age'),
          maxBytes: bytesOf(maxBytes, '--max-bytes'),
          accessMaxAgeMs: millisecondsOf(accessMaxAge, '--access-max-age'),
        };
        const everyMs = millisecondsOf(every, '--every');
        do {
          const kept = await keepEpochs(session, policy, progress);
          printer.line(kept, () =>
            [
              kept.opened === null ? 'no epoch opened' : `epoch ${kept.opened.epoch} opened`,
              `${kept.moved} connections moved`,
              ...kept.archived.map(({ stream: name, to }) => `${name} archived up to ${to}`),
              ...kept.dropped.map(({ stream: name, up_to: to }) => `${name} dropped up to ${to}`),
              ...kept.waiting,
            ].join('; '),
          );
          if (everyMs !== undefined) await delay(everyMs);
        } while (everyMs !== undefined);
      }),
    );
}

async function standing(session: Session) {
  return await asIdentity(session, 'audit', async (bus) => {
    const told = [];
    for (const one of archivedStreams) {
      const { firstPosition, lastPosition, bytes, maxBytes } = await readEpochs(bus, one);
      const archivedUpTo = await (await archiveOf(session.folder, one)).lastPosition();
      const positions = { first_position: firstPosition, last_position: lastPosition, archived_up_to: archivedUpTo };
      told.push({ stream: streams[one].name, ...positions, bytes, bytes_max: maxBytes });
    }
    const { starts } = await readEpochs(bus, 'connections');
    const { archived_up_to: archivedUpTo = 0, first_position: first = 1 } = told[0] ?? {};
    const epochs = starts.map((from, index) => {
      const next = starts[index + 1];
      // A segment ends at the last checkpoint in its epoch; what is behind that goes with the next one.
      const state =
        next === undefined ? 'open' : first > from ? 'dropped' : archivedUpTo >= from ? 'archived' : 'closed';
      return { epoch: index + 1, from, state };
    });
    return { streams: told, epochs };
  });
}

function streamNamed(wanted: unknown): ArchivedStream {
  const found = archivedStreams.find((one) => streams[one].name === String(wanted).toUpperCase());
  if (found !== undefined) return found;
  throw new PosternError('request.malformed', '--log takes CONNECTIONS or ACCESS: ADMIN is kept whole.');
}

function beforeOf(wanted: ArchivedStream, before: unknown): number | undefined {
  const atMs = typeof before === 'string' ? Date.parse(before) : undefined;
  if (Number.isNaN(atMs)) {
    throw new PosternError('request.malformed', '--before takes a time such as 2026-11-22T12:00:00Z.');
  }
  if ((wanted === 'access') === (atMs !== undefined)) return atMs;
  throw new PosternError('request.malformed', 'ACCESS is archived --before a time, CONNECTIONS by its epochs.');
}
