import { assertId, PosternError, subjects } from '@postern/contracts';

/** Which part of the connection log a command speaks of. */
export interface Selection {
  readonly filter: string;
  readonly connectionId: string | undefined;
  readonly type: string | undefined;
  readonly fromPosition: number | undefined;
  readonly untilPosition: number | undefined;
  readonly atMs: number | undefined;
}

/** @throws {PosternError} `request.malformed` for an option that means nothing. */
export function selectionOf(tenantId: string, options: Readonly<Record<string, unknown>>): Selection {
  const connectionId = text(options['connection']);
  return {
    filter:
      connectionId === undefined
        ? subjects.connectionsOfTenant(tenantId)
        : subjects.connection({ tenantId, connectionId: assertId('connection', connectionId) }),
    connectionId,
    type: text(options['type']),
    fromPosition: position(options['from'], '--from'),
    untilPosition: position(options['to'], '--to'),
    atMs: time(options['at']),
  };
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
