import { PosternError, type AggregateKind } from '@postern/contracts';
import { evolverOf, upcast, viewOf, type Connection, type Evolver } from '@postern/domain';
import {
  emptyLoaded,
  following,
  type AnyEvent,
  type CommitReader,
  type EventLog,
  type Loaded,
  type LogEntry,
  type StoredMessage,
} from '@postern/event-log';

import { table, type Printer } from '../output/printer.ts';
import { eventLine, eventViewsOf } from './event-lines.ts';
import { Explanation, type ExplainedPart } from './explanation.ts';
import type { Selection } from './selection.ts';

export interface ReplayPlace {
  readonly log: EventLog;
  readonly reader: CommitReader;
  readonly publicUrl: string;
}

// oxlint-disable-next-line typescript/no-explicit-any -- each kind has its own state; whoever replays any takes it as JSON
type AnyEvolver = Evolver<any, any>;

/** One aggregate that is told again, event by event. */
class Retelling {
  readonly explanation = new Explanation();
  readonly #evolver: AnyEvolver;
  #loaded: Loaded<unknown>;

  constructor(kind: AggregateKind) {
    this.#evolver = evolverOf(kind);
    this.#loaded = emptyLoaded(this.#evolver);
  }

  get loaded(): Loaded<unknown> {
    return this.#loaded;
  }

  /** @returns false for a commit that counts nothing: it does not follow, or carries what its events do not give. */
  take(entry: LogEntry): boolean {
    const evolver = this.#evolver;
    const after = following(this.#loaded, entry, { evolver, upcast });
    if (after === undefined) return false;
    this.#explain(entry);
    this.#loaded = after;
    return true;
  }

  #explain({ position, commit }: LogEntry): void {
    const { tenantId, aggregateId, at, actor, revision } = commit;
    const meta = { tenantId, aggregateId, atMs: Date.parse(at), actor };
    let before = this.#loaded.state;
    for (const event of commit.events) {
      const after: unknown = this.#evolver.evolve(before, upcast(event) as AnyEvent, meta);
      this.explanation.note(before, after, { type: event.type, position, revision, at, actor });
      before = after;
    }
  }
}

/**
 * Tells the selected part of the log again, and of one aggregate the state that it gives: as the events alone give it,
 * whatever the commits carry.
 *
 * @throws {PosternError} `connection.not_found` or `request.not_found` when nothing of the aggregate stands there.
 */
export async function replay(
  { log, reader, publicUrl }: ReplayPlace,
  { selection, explain }: { readonly selection: Selection; readonly explain: boolean },
  printer: Printer,
): Promise<void> {
  const { aggregate, type, fromPosition = 1 } = selection;
  const retelling = aggregate && new Retelling(aggregate.kind);
  // A state has its beginning: of one aggregate what stands before --from is read, too, and not told.
  const wanted = aggregate === undefined ? selection : { ...selection, fromPosition: undefined };
  for await (const message of selectedMessages(log, reader, wanted)) {
    const read = reader.read(message);
    const told = message.position >= fromPosition;
    if (read.kind !== 'commit') {
      if (told) printer.line(read, () => `${read.position}  ${read.kind}: ${read.reason}`);
      continue;
    }
    if (retelling?.take(read.entry) === false) {
      const { position, subject } = read.entry;
      const stray = { kind: 'stray', position, subject, reason: 'it does not follow what stands before it' };
      printer.line(stray, () => `${position}  stray: ${stray.reason}; it counts nothing`);
      continue;
    }
    for (const view of eventViewsOf(read.entry)) {
      if (told && (type === undefined || type === view.type)) printer.line(view, () => eventLine(view));
    }
  }
  if (aggregate === undefined || retelling === undefined) return;
  const { loaded } = retelling;
  if (loaded.revision === 0) {
    const code = aggregate.kind === 'connection' ? 'connection.not_found' : 'request.not_found';
    throw new PosternError(code, `No event of ${aggregate.id} stands in that part of the log.`);
  }
  const state = shown(loaded, { ...aggregate, publicUrl, nowMs: selection.atMs ?? Date.now() });
  const { position, revision } = loaded;
  const place = `state at position ${position}, revision ${revision}`;
  printer.line({ state }, () => `\n${place}: ${JSON.stringify(state, null, 2)}`);
  if (!explain) return;
  const parts = retelling.explanation.parts();
  printer.line({ explanation: { position, revision, parts } }, () => `\n${explainedLines(parts).join('\n')}`);
}

/** The messages of a selection; a commit's time is what its writer says, which no copy of the log changes. */
export async function* selectedMessages(
  log: EventLog,
  reader: CommitReader,
  { filter, fromPosition, untilPosition, atMs }: Selection,
): AsyncIterable<StoredMessage> {
  for await (const message of log.read({ filter, fromPosition, untilPosition })) {
    if (atMs === undefined || timeOf(message, reader) <= atMs) yield message;
  }
}

function timeOf(message: StoredMessage, reader: CommitReader): number {
  const read = reader.read(message);
  return read.kind === 'commit' ? Date.parse(read.entry.commit.at) : message.timeMs;
}

interface ShownWith {
  readonly kind: AggregateKind;
  readonly id: string;
  readonly publicUrl: string;
  readonly nowMs: number;
}

/** A connection as its owner sees it; of everything else the state as it is. */
function shown({ state, revision, position }: Loaded<unknown>, { kind, id, publicUrl, nowMs }: ShownWith): unknown {
  if (kind !== 'connection') return state;
  return viewOf(state as Connection, { revision, position, reauthorizeUrl: `${publicUrl}/connect/${id}`, nowMs });
}

function explainedLines(parts: readonly ExplainedPart[]): string[] {
  const rows = parts.map(({ part, value, set_by: { type, position, at, actor } }) => [
    part,
    JSON.stringify(value),
    type,
    String(position),
    at,
    actor.id === undefined ? actor.type : `${actor.type} ${actor.id}`,
  ]);
  return table([['part', 'value', 'set by', 'position', 'at', 'who'], ...rows]);
}
