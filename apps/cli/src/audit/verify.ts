import {
  PosternError,
  provenStreams,
  streamFilters,
  streams,
  subjects,
  type LeaseReceipt,
  type ProvenStream,
  type TrustBundle,
} from '@postern/contracts';
import { isWitnessed, type WitnessPolicy } from '@postern/crypto';
import { evolverOf, upcast } from '@postern/domain';
import {
  AccessReader,
  CheckpointReader,
  CommitReader,
  commitVerifier,
  ReceiptVerifier,
  TreeVerifier,
  verifyAccess,
  verifyLog,
  type AccessEntry,
  type CheckpointRead,
  type EventLog,
  type LogReport,
  type StoredMessage,
} from '@postern/event-log';

import { messagesOf, streamOfSubject, type WholeLogStream } from '../events/exported-streams.ts';
import { readExport } from '../events/read-export.ts';

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
  /** Who must have cosigned what left the house; without them the log's own signature is enough. */
  readonly witnesses?: WitnessPolicy | undefined;
  /** What clients show: that the records of their leases stand in ACCESS. */
  readonly receipts?: readonly LeaseReceipt[] | undefined;
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
 * Verifies an export, offline, with the public keys alone: each stream that it holds, in a pass of its own. Where a
 * checkpoint of a stream is given, or stands in the file, it must be the whole stream, and is compared with it.
 */
export async function verifyExport(path: string, place: VerifyPlace): Promise<Reports> {
  const held = await streamsIn(path);
  if (!held.has('access') && (place.receipts ?? []).length > 0) {
    throw new PosternError('request.malformed', `A receipt speaks of ACCESS, of which ${path} holds nothing.`);
  }
  const outside = outsideOf(place);
  const reports: Record<string, LogReport> = {};
  for (const stream of provenStreams.filter((one) => held.has(one))) {
    const stored = held.has('checkpoints') ? storedIn(path, stream, place) : noCheckpoints();
    const isProven = held.has('checkpoints') || outside[stream].length > 0;
    const tree = isProven
      ? new TreeVerifier({ stream: streams[stream].name, stored, outside: outside[stream] })
      : undefined;
    const name = held.size === 1 ? path : `${path}: ${streams[stream].name}`;
    reports[name] = await verifyMessages(stream, messagesOf(path, stream), { place, tree });
  }
  return reports;
}

/** Verifies the messages of one stream, in their order. */
export async function verifyMessages(
  stream: ProvenStream,
  messages: AsyncIterable<StoredMessage>,
  { place, tree }: { readonly place: VerifyPlace; readonly tree?: TreeVerifier | undefined },
): Promise<LogReport> {
  const onProgress = (position: number) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${streams[stream].name} verified up to position ${position}`);
  };
  const verifier = commitVerifier(place.trust, { rememberedMax: signaturesRememberedMax });
  if (stream === 'access') {
    const promised = new ReceiptVerifier(place.receipts ?? []);
    const reader = new AccessReader({ verifier });
    const onEntry = (entry: AccessEntry) => promised.entry(entry);
    const report = await verifyAccess(messages, { reader, tree, onProgress, onEntry });
    return { ...report, findings: [...report.findings, ...promised.end()] };
  }
  return await verifyLog(messages, { reader: new CommitReader({ verifier }), upcast, evolverOf, tree, onProgress });
}

/**
 * @throws {PosternError} `request.malformed` for a note that no trusted key signed, or too few of the witnesses: it would
 *   prove nothing.
 */
function outsideOf({ trust, outside, witnesses }: VerifyPlace) {
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
    if (witnesses !== undefined && !isWitnessed(note, witnesses)) {
      throw new PosternError(
        'request.malformed',
        `A checkpoint of ${streams[stream].name} is not cosigned by ${witnesses.quorum} of the witnesses named.`,
      );
    }
    opened[stream].push(checkpoint);
  }
  return opened as Record<ProvenStream, NonNullable<ReturnType<CheckpointReader['note']>>[]>;
}

async function* noCheckpoints(): AsyncIterable<CheckpointRead> {}

async function streamsIn(path: string): Promise<ReadonlySet<WholeLogStream>> {
  const held = new Set<WholeLogStream>();
  for await (const { subject } of readExport(path)) {
    const stream = streamOfSubject(subject);
    if (stream === undefined) {
      throw new PosternError('request.malformed', `${path} holds ${subject}, which is no subject of the log.`);
    }
    held.add(stream);
  }
  if (provenStreams.some((stream) => held.has(stream))) return held;
  throw new PosternError('request.malformed', `${path} holds no message: an empty log is verified online.`);
}

/** The checkpoints of a stream that were exported with it; what no trusted key signed is told as foreign. */
async function* storedIn(path: string, stream: ProvenStream, { trust }: VerifyPlace): AsyncIterable<CheckpointRead> {
  const reader = trust.log && new CheckpointReader(trust.log, stream);
  const own = subjects.checkpoint(streams[stream].name);
  for await (const message of messagesOf(path, 'checkpoints')) {
    if (message.subject === own && reader !== undefined) yield reader.read(message);
  }
}
