import { assertId, idPrefixes, PosternError, subjects, type AggregateKind, aggregateKinds } from '@postern/contracts';
import { subjectOf } from '@postern/event-log';

/** Which part of the log a command speaks of: positions are of the one stream that it stands on. */
export interface Selection {
  readonly stream: 'connections' | 'admin';
  readonly filter: string;
  /** The one aggregate that was asked for. */
  readonly aggregate: { readonly kind: AggregateKind; readonly id: string } | undefined;
  readonly type: string | undefined;
  readonly fromPosition: number | undefined;
  readonly untilPosition: number | undefined;
  readonly atMs: number | undefined;
}

/**
 * @param id of any aggregate, whose kind its prefix tells; the tenant's connections when absent.
 * @throws {PosternError} `request.malformed` for an option that means nothing.
 */
export function selectionOf(
  tenantId: string,
  options: Readonly<Record<string, unknown>>,
  id = text(options['connection']),
): Selection {
  const kind = options['connection'] === undefined ? kindOf(id) : 'connection';
  return {
    stream: kind === undefined || kind === 'connection' ? 'connections' : 'admin',
    ...partOf(tenantId, kind, id),
    type: text(options['type']),
    fromPosition: position(options['from'], '--from'),
    untilPosition: position(options['to'], '--to'),
    atMs: time(options['at']),
  };
}

function partOf(tenantId: string, kind: KindWithIds | undefined, id = ''): Pick<Selection, 'filter' | 'aggregate'> {
  if (kind === undefined) return { filter: subjects.connectionsOfTenant(tenantId), aggregate: undefined };
  assertId(kind, id);
  const filter = subjectOf({ tenantId: kind === 'tenant' ? id : tenantId, kind, id });
  return { filter, aggregate: { kind, id } };
}

/**
 * All but those with ids of providers or of the tenant: `postern providers versions|review ID` and `postern admin list` tell
 * of them.
 */
const kindsWithIds = aggregateKinds.filter(
  (kind) => kind !== 'rollout' && kind !== 'governance' && kind !== 'approval',
);
type KindWithIds = (typeof kindsWithIds)[number];

/** The kind of aggregate that an id names by its prefix. */
function kindOf(id: string | undefined): KindWithIds | undefined {
  if (id === undefined) return undefined;
  const kind = kindsWithIds.find((one) => id.startsWith(`${idPrefixes[one]}_`));
  if (kind !== undefined) return kind;
  const known = kindsWithIds.map((one) => `${idPrefixes[one]}_… (${one})`).join(', ');
  throw new PosternError('request.malformed', `${id} is the id of nothing that the log tells about: ${known}.`);
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

function position(value: unknown, option: string): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new PosternError('request.malformed', `${option} takes a position, a whole number above 0.`);
}

function time(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const atMs = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(atMs)) return atMs;
  throw new PosternError('request.malformed', '--at takes a time such as 2026-11-22T12:00:00Z.');
}
