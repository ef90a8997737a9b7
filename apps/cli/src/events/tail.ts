import { eventDefinitions, PosternError } from '@postern/contracts';
import type { LogEntry, StoredMessage } from '@postern/event-log';
import type { Command } from 'commander';

import { paint, type Printer } from '../output/printer.ts';
import type { RunCommand } from '../run-command.ts';
import type { Session } from '../session/session.ts';
import { eventViewsOf } from './event-lines.ts';
import { selectionOf } from './selection.ts';
import { dayLine, tailLine, type TailedEvent } from './tail-lines.ts';

const lastMax = 1_000;
/** So many messages of the log are looked at for the last ones of a tenant, a connection or a type. */
const lookedBackMax = 20_000;

/** Which events are shown. */
export interface TailFilter {
  /** A subject. */
  readonly filter: string;
  readonly types: ReadonlySet<string>;
  /** How many of those that stand already. */
  readonly last: number;
}

/** `postern events tail`: the log as it grows, one line an event. */
export function tailCommand(events: Command, run: RunCommand): void {
  events
    .command('tail')
    .description('follows the log until Ctrl-C, one line an event')
    .option('--connection <id>', 'only this connection')
    .option('--type <events>', 'only these event types, separated by commas')
    .option('--last <count>', 'first the last ones that stand already', '0')
    .action(
      run.withSession(async ({ session, tenantId, printer, options }) => {
        await tail(session, tailFilterOf(tenantId, options), printer);
      }),
    );
}

/** @throws {PosternError} `request.malformed` for an option that means nothing. */
export function tailFilterOf(tenantId: string, options: Readonly<Record<string, unknown>>): TailFilter {
  const types = typeof options['type'] === 'string' ? options['type'].split(',').map((type) => type.trim()) : [];
  const unknown = types.find((type) => !eventDefinitions.has(type));
  if (unknown !== undefined) {
    throw new PosternError(
      'request.malformed',
      `There is no event type ${unknown}; docs/reference/events.md has them all.`,
    );
  }
  const last = Number(options['last'] ?? 0);
  if (!Number.isSafeInteger(last) || last < 0 || last > lastMax) {
    throw new PosternError('request.malformed', `--last takes a number from 0 to ${lastMax}.`);
  }
  return { filter: selectionOf(tenantId, { connection: options['connection'] }).filter, types: new Set(types), last };
}

async function tail({ connections, reader }: Session, wanted: TailFilter, printer: Printer): Promise<void> {
  const teller = new Teller(wanted, printer);
  const head = await connections.head();
  const fromPosition = Math.max(1, head - lookedBackMax);
  if (wanted.last > 0) {
    const earlier: StoredMessage[] = [];
    for await (const message of connections.read({ filter: wanted.filter, fromPosition, untilPosition: head })) {
      const read = reader.read(message);
      if (read.kind === 'commit' && !teller.shows(read.entry)) continue;
      earlier.push(message);
      if (earlier.length > wanted.last) earlier.shift();
    }
    for (const message of earlier) teller.tell(reader.read(message));
  }
  const { stop } = await connections.subscribe({
    filter: wanted.filter,
    fromPosition: head + 1,
    onMessage: (message) => teller.tell(reader.read(message)),
    onReset: () => undefined,
  });
  await new Promise<void>((resolve) => process.once('SIGINT', resolve));
  await stop();
}

class Teller {
  readonly #wanted: TailFilter;
  readonly #printer: Printer;
  #day = '';

  constructor(wanted: TailFilter, printer: Printer) {
    this.#wanted = wanted;
    this.#printer = printer;
  }

  shows({ commit }: LogEntry): boolean {
    return commit.events.some(({ type }) => this.#wants(type));
  }

  /** What is not folded is told whatever is filtered: nobody should have to ask for it. */
  tell(read: ReturnType<Session['reader']['read']>): void {
    if (read.kind === 'commit') return this.#tellEvents(read.entry);
    this.#printer.line(read, () => paint('31', `position ${read.position}  ${read.kind}: ${read.reason}`));
  }

  #tellEvents(entry: LogEntry): void {
    for (const view of eventViewsOf(entry)) {
      if (!this.#wants(view.type)) continue;
      const event: TailedEvent = { ...view, connection_id: entry.commit.aggregateId };
      this.#printer.line(event, () => `${this.#newDay(view.at)}${tailLine(event, process.stdout.columns)}`);
    }
  }

  #newDay(at: string): string {
    const day = at.slice(0, 10);
    if (day === this.#day) return '';
    this.#day = day;
    return `${dayLine(at)}\n`;
  }

  #wants(type: string): boolean {
    return this.#wanted.types.size === 0 || this.#wanted.types.has(type);
  }
}
