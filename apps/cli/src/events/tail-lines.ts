import type { EventView } from '@postern/contracts';

import { paint } from '../output/printer.ts';

/** How an event is meant: something ended, something needs watching, something is well again. */
type Tone = 'ended' | 'watch' | 'well' | 'plain';

const tones: Readonly<Record<Exclude<Tone, 'plain'>, RegExp>> = {
  ended:
    /Revoked$|Rejected$|Denied$|^ReauthorizationRequired$|^DeletionRequested$|Shredded$|^UpstreamRevocationFailed$/,
  watch: /Failed$|Interrupted$|Suspended$|Suspected$|^ScopeDriftDetected$|^InsufficientScopeReported$|Expiring$/,
  well: /Authorized$|Reauthorized$|Refreshed$|Resumed$|Disproved$|Completed$/,
};
const colours: Readonly<Record<Tone, string>> = { ended: '31', watch: '33', well: '32', plain: '1' };

/** Of an id the part that tells one from another at a glance; with `--json` all of it stands there. */
const shortIdChars = 8;
const typeChars = 28;

/** What stands in a line beside the event itself. */
export interface TailedEvent extends EventView {
  readonly connection_id: string;
}

/** How wide a line may be; undefined where nobody looks at it: then it is told whole. */
export type Columns = number | undefined;

/** The event as one line: when, which connection, what, who, and what it says. */
export function tailLine(event: TailedEvent, columns: Columns): string {
  const time = event.at.slice(11, 23).replace('Z', '').padEnd(12);
  const id = event.connection_id;
  return eventRow(`${time}  ${columns === undefined ? id : short(id)}`, event, columns);
}

/** What is told of an event after a lead of the caller's, cut where the terminal ends. */
export function eventRow(lead: string, { type, actor, data }: EventView, columns: Columns): string {
  const head = `${lead}  `;
  const named = type.padEnd(typeChars);
  const who = actor.id === undefined ? actor.type : `${actor.type}:${actor.id}`;
  const rest = `  ${columns === undefined ? who : (actor.id ?? actor.type).slice(-13).padEnd(13)}  ${factsOf(data, columns)}`;
  const room = columns === undefined ? Infinity : Math.max(0, columns - head.length - named.length);
  const cut = rest.length > room ? `${rest.slice(0, Math.max(0, room - 1))}…` : rest;
  return `${paint('2', head)}${paint(colours[toneOf(type)], named)}${cut.trimEnd()}`;
}

/**
 * What an event says: ids last, and on a terminal short, since what went wrong is looked for first. Null says nothing, and
 * objects are for `--json`.
 */
function factsOf(data: Readonly<Record<string, unknown>>, columns: Columns): string {
  const told = Object.entries(data).filter(
    ([, value]) => value !== null && (typeof value !== 'object' || Array.isArray(value)),
  );
  const [ids, facts] = [told.filter(([, value]) => isAnId(value)), told.filter(([, value]) => !isAnId(value))];
  return [
    ...facts.map(([key, value]) => `${key}=${factOf(key, value)}`),
    ...ids.map(([key, value]) => `${key}=${columns === undefined ? String(value) : short(String(value))}`),
  ].join(' ');
}

const isAnId = (value: unknown) => typeof value === 'string' && /^[a-z]{3}_[0-9a-z]{26}$/.test(value);
const short = (id: string) => `…${id.slice(-shortIdChars)}`;

function factOf(key: string, value: unknown): string {
  if (typeof value === 'number' && key.endsWith('AtMs')) return new Date(value).toISOString().replace('.000Z', 'Z');
  // What a provider said may hold signs that do more to a terminal than to be read.
  // eslint-disable-next-line no-control-regex
  return (Array.isArray(value) ? value.join(',') : String(value)).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '·');
}

function toneOf(type: string): Tone {
  if (tones.ended.test(type)) return 'ended';
  if (tones.watch.test(type)) return 'watch';
  return tones.well.test(type) ? 'well' : 'plain';
}

/** Said once a day of what follows, since a line has its time alone. */
export function dayLine(at: string): string {
  return paint('2', `── ${at.slice(0, 10)} (UTC)`);
}
