import { existsSync, readdirSync } from 'node:fs';

import { importerName, PosternError, streamFilters, streams, TrustBundle } from '@postern/contracts';
import { aggregateOf, LogTree } from '@postern/event-log';
import { connectBus, importerCreds, importMessages } from '@postern/nats';

import { withAuditor } from '../audit/auditor.ts';
import { readJsonFile, writePrivate } from '../data-folder/files.ts';
import { readOperator } from '../data-folder/operator.ts';
import type { DataFolder } from '../data-folder/paths.ts';
import type { Progress } from '../output/progress.ts';
import { asIdentity } from '../session/as-identity.ts';
import { writeAdministratorFile } from '../up/first-tenant.ts';
import { startBus } from '../up/start-bus.ts';
import { messagesOf, streamOfSubject, wholeLog, type WholeLogStream } from './exported-streams.ts';
import { readExport } from './read-export.ts';

export interface ImportLogOptions {
  /** Empty: nothing was ever started on it. */
  readonly folder: DataFolder;
  readonly file: string;
  /** The public keys of the house that the log comes from. */
  readonly trustFile: string;
  /** Takes a part of a log, too, at new positions. */
  readonly renumber: boolean;
}

export interface ImportedLog {
  /** Does every message stand at the position it had? */
  readonly whole: boolean;
  readonly streams: Readonly<Record<string, { readonly messages: number; readonly root: string }>>;
}

const userTtlMs = 3_600_000;

/**
 * Makes an empty data folder hold an exported log: positions, hashes and signatures as they were, so that its checkpoints
 * and the trees under them go on. It writes with a user of its own, issued by the folder's operator for this one import,
 * into a nats-server that nobody else knows yet.
 *
 * The keys of the old house stay trusted for what they signed; what comes is signed by new ones. Secrets are no part of a
 * log: the vault's database and keyring move by themselves.
 *
 * @effect a data folder for `postern up`; when it fails it is to be deleted.
 * @throws {PosternError} `request.malformed` for a file that is no whole log (unless `renumber`) or not in order;
 *   `config.invalid` for a folder that is not empty, or no trust bundle.
 */
export async function importLog(options: ImportLogOptions, progress: Progress): Promise<ImportedLog> {
  const { folder, file } = options;
  const trust = trustOf(options.trustFile);
  assertEmpty(folder);
  const survey = await surveyOf(options);
  // A part of a log gets a name of its own: under the old one, checkpoints speak of other positions.
  const { log, ...bundle } = trust;
  writePrivate(folder.trustFile, `${JSON.stringify(survey.whole && log ? { ...bundle, log } : bundle, null, 2)}\n`);
  const problems: string[] = [];
  const { url, kept } = await startBus(folder, {
    identityTtlMs: userTtlMs,
    onProblem: (sentence) => problems.push(sentence),
  });
  try {
    const creds = await importerCreds(readOperator(folder), { ttlMs: userTtlMs });
    const importer = await connectBus({ servers: url, creds, identity: importerName, name: 'postern import' });
    try {
      await asIdentity({ folder, natsUrl: url }, 'provisioner', async (provisioner) => {
        for (const stream of wholeLog) {
          const { isWhole = true } = survey.streams.get(stream) ?? {};
          await importMessages(messagesOf(file, stream), {
            importer,
            provisioner,
            stream,
            renumber: !isWhole,
            onProgress: (position) => progress.tell(`${streams[stream].name} imported up to ${position}`),
          });
        }
      });
    } finally {
      await importer.close();
    }
    const streamsNow = await compare({ folder, natsUrl: url }, survey);
    if (survey.first !== undefined) writeAdministratorFile(folder, survey.first);
    return { whole: survey.whole, streams: streamsNow };
  } finally {
    await kept.stop();
  }
}

interface StreamSurvey {
  readonly tree: LogTree;
  lastPosition: number;
  /** Does it hold every position from the first one on? */
  isWhole: boolean;
}

interface Survey {
  readonly whole: boolean;
  readonly streams: ReadonlyMap<WholeLogStream, StreamSurvey>;
  /** The first tenant and its first administrator: whose `postern up` this was. */
  readonly first: { readonly tenantId: string; readonly administratorId: string } | undefined;
}

async function surveyOf({ file, renumber }: ImportLogOptions): Promise<Survey> {
  const found = new Map<WholeLogStream, StreamSurvey>();
  let tenantId: string | undefined;
  let administratorId: string | undefined;
  for await (const message of readExport(file)) {
    const { subject, position } = message;
    const stream = streamOfSubject(subject);
    if (stream === undefined) throw malformed(`${file} holds a message on ${subject}, which is no part of the log.`);
    const survey = found.get(stream) ?? { tree: new LogTree(), lastPosition: 0, isWhole: true };
    found.set(stream, survey);
    if (position <= survey.lastPosition) {
      throw malformed(`${streams[stream].name}: position ${position} stands after ${survey.lastPosition} in ${file}.`);
    }
    if (position !== survey.lastPosition + 1) {
      survey.isWhole = false;
      // Of the checkpoints the eldest may be gone: each says by itself what it says.
      if (!renumber && stream !== 'checkpoints') throw notWhole(stream, survey.lastPosition, position);
    }
    survey.lastPosition = position;
    survey.tree.add(message);
    const aggregate = aggregateOf(subject);
    if (aggregate?.kind === 'tenant') tenantId ??= aggregate.id;
    if (aggregate?.kind === 'administrator' && aggregate.tenantId === tenantId) administratorId ??= aggregate.id;
  }
  if (found.size === 0) throw malformed(`${file} holds no message.`);
  const whole = [...found].every(([stream, { isWhole }]) => isWhole || stream === 'checkpoints');
  if (!whole && found.has('checkpoints')) {
    throw malformed(`${file} holds checkpoints, and not every message that they speak of: leave them out.`);
  }
  const first = tenantId === undefined || administratorId === undefined ? undefined : { tenantId, administratorId };
  return { whole, streams: found, first };
}

function notWhole(stream: WholeLogStream, before: number, position: number): PosternError {
  return malformed(
    `${streams[stream].name}: positions ${before + 1} to ${position - 1} are not in the file, so the others cannot have ` +
      'theirs. Export it whole (--log ALL); or --renumber takes it at new positions, which no checkpoint proves.',
  );
}

/** @throws {PosternError} `log.message_damaged` unless the streams hold the very messages of the file, in their order. */
async function compare(place: Parameters<typeof withAuditor>[0], survey: Survey): Promise<ImportedLog['streams']> {
  const done: Record<string, { messages: number; root: string }> = {};
  await withAuditor(place, async ({ logs, checkpoints }) => {
    for (const [stream, { tree }] of survey.streams) {
      const { name } = streams[stream];
      const log = stream === 'checkpoints' ? checkpoints : logs[stream];
      const stored = new LogTree();
      for await (const message of log.read({ filter: streamFilters[stream] })) stored.add(message);
      if (stored.size !== tree.size || !stored.root().equals(tree.root())) {
        throw new PosternError('log.message_damaged', `${name} does not hold what the file does. Begin anew, empty.`);
      }
      done[name] = { messages: tree.size, root: tree.root().toString('base64') };
    }
  });
  return done;
}

function assertEmpty({ root }: DataFolder): void {
  if (!existsSync(root) || readdirSync(root).length === 0) return;
  throw new PosternError('config.invalid', `${root} is not empty: a log is imported into an empty data folder only.`);
}

function trustOf(path: string): TrustBundle {
  const parsed = TrustBundle.safeParse(readJsonFile(path));
  if (parsed.success) return parsed.data;
  throw new PosternError('config.invalid', `${path} holds no trust bundle.`, { cause: parsed.error });
}

function malformed(message: string): PosternError {
  return new PosternError('request.malformed', message);
}
