import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

import {
  PosternError,
  provenStreams,
  streamFilters,
  streams,
  subjects,
  type ProvenStream,
  type TrustBundle,
} from '@postern/contracts';
import { evolverOf, upcast } from '@postern/domain';
import {
  AccessReader,
  CheckpointReader,
  CommitReader,
  commitVerifier,
  TreeVerifier,
  verifyAccess,
  verifyLog,
  type CheckpointRead,
  type EventLog,
  type LogReport,
  type StoredMessage,
} from '@postern/event-log';

import { importMessage } from '../events/cloud-event.ts';

/** Commits that share a signature stand near one another: it is checked once for all of them. */
const signaturesRememberedMax = 1_000;

/** The log as it stands on the bus, for whoever may read all of it. */
export interface ProvenLog {
  readonly logs: Readonly<Record<ProvenStream, EventLog>>;
  readonly checkpoints: EventLog;
}

export interface VerifyPlace {
  readonly trust: TrustBundle;
  /** Checkpoints that left the house, as their notes. */
  readonly outside: readonly string[];
}

/** Which part of the log is verified; of a part there is no tree. */
export interface VerifyPart {
  readonly tenantId: string;
  readonly connectionId?: string | undefined;
}

/** The reports of a verification, by stream or file. */
export type Reports = Readonly<Record<string, LogReport>>;

/** Verifies the whole log as it stands on the bus, against its checkpoints and those that left the house. */
export async function verifyOnline({ logs, checkpoints }: ProvenLog, place: VerifyPlace): Promise<Reports> {
  const reports: Record<string, LogReport> = {};
  const outside = outsideOf(place);
  // Before the messages are read: a checkpoint that is made meanwhile speaks of later ones.
  const untilPosition = await checkpoints.head();
  for (const stream of provenStreams) {
    const reader = place.trust.log && new CheckpointReader(place.trust.log, stream);
    const stored = reader?.all(checkpoints, untilPosition) ?? noCheckpoints();
    const tree = new TreeVerifier({ stream: streams[stream].name, stored, outside: outside[stream] });
    const messages = logs[stream].read({ filter: streamFilters[stream] });
    reports[streams[stream].name] = await verifyMessages(stream, messages, { place, tree });
  }
  return reports;
}

/** Verifies what a tenant's log, or a connection's, says of itself: without the messages between there is no tree. */
export async function verifyPart(
  { logs }: Pick<ProvenLog, 'logs'>,
  { tenantId, connectionId }: VerifyPart,
  place: VerifyPlace,
): Promise<Reports> {
  const filter =
    connectionId === undefined
      ? subjects.connectionsOfTenant(tenantId)
      : subjects.connection({ tenantId, connectionId });
  const connections = await verifyMessages('connections', logs.connections.read({ filter }), { place });
  if (connectionId !== undefined) return { CONNECTIONS: connections };
  const admin = logs.admin.read({ filter: subjects.adminOfTenant(tenantId) });
  return { CONNECTIONS: connections, ADMIN: await verifyMessages('admin', admin, { place }) };
}

/**
 * Verifies an export, offline, with the public keys alone. Where a checkpoint of its stream is given it must be the whole
 * stream, and is compared with it.
 */
export async function verifyExport(path: string, place: VerifyPlace): Promise<Reports> {
  const stream = await streamOf(path);
  const outside = outsideOf(place)[stream];
  const tree =
    outside.length === 0
      ? undefined
      : new TreeVerifier({ stream: streams[stream].name, stored: noCheckpoints(), outside });
  return { [path]: await verifyMessages(stream, readExport(path), { place, tree }) };
}

function verifyMessages(
  stream: ProvenStream,
  messages: AsyncIterable<StoredMessage>,
  { place, tree }: { readonly place: VerifyPlace; readonly tree?: TreeVerifier | undefined },
): Promise<LogReport> {
  const onProgress = (position: number) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${streams[stream].name} verified up to position ${position}`);
  };
  const verifier = commitVerifier(place.trust, { rememberedMax: signaturesRememberedMax });
  if (stream === 'access') {
    return verifyAccess(messages, { reader: new AccessReader({ verifier }), tree, onProgress });
  }
  return verifyLog(messages, { reader: new CommitReader({ verifier }), upcast, evolverOf, tree, onProgress });
}

/** @throws {PosternError} `request.malformed` for a note that no trusted key signed: it would prove nothing. */
function outsideOf({ trust, outside }: VerifyPlace) {
  const opened: Record<ProvenStream, ReturnType<CheckpointReader['note']>[]> = {
    connections: [],
    admin: [],
    access: [],
  };
  for (const note of outside) {
    const stream = provenStreams.find((one) => note.split('\n', 1)[0]?.endsWith(`/${streams[one].name}`));
    const checkpoint =
      trust.log === undefined || stream === undefined ? undefined : new CheckpointReader(trust.log, stream).note(note);
    if (stream === undefined || checkpoint === undefined) {
      throw new PosternError(
        'request.malformed',
        'A checkpoint is not signed by a key of the trust bundle for this log.',
      );
    }
    opened[stream].push(checkpoint);
  }
  return opened as Record<ProvenStream, NonNullable<ReturnType<CheckpointReader['note']>>[]>;
}

async function* noCheckpoints(): AsyncIterable<CheckpointRead> {}

async function streamOf(path: string): Promise<ProvenStream> {
  for await (const { subject } of readExport(path)) {
    const stream = provenStreams.find((one) => subject.startsWith(streamFilters[one].slice(0, -1)));
    if (stream !== undefined) return stream;
    throw new PosternError('request.malformed', `${path} begins with ${subject}, which is no subject of the log.`);
  }
  throw new PosternError('request.malformed', `${path} holds no message: an empty log is verified online.`);
}

async function* readExport(path: string): AsyncIterable<StoredMessage> {
  let lineNumber = 0;
  for await (const line of createInterface({ input: createReadStream(path) })) {
    lineNumber += 1;
    if (line !== '') yield importMessage(line, lineNumber);
  }
}
