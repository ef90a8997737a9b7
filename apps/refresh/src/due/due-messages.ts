import { Injectable } from '@nestjs/common';
import {
  assertId,
  isPosternError,
  parseRequest,
  PosternError,
  RefreshDue,
  streams,
  subjects,
} from '@postern/contracts';
import type { StoredMessage } from '@postern/event-log';
import { acknowledgedUpTo, Bus, lastMessages, publishMessage } from '@postern/nats';
import { outgoingHeaders } from '@postern/service';

import type { DueTime } from '../pace/waiting-room.ts';

const stream = streams.refresh.name;

/** A connection whose credential is to be refreshed. */
export interface Due {
  readonly tenantId: string;
  readonly connectionId: string;
  readonly reason: RefreshDue['reason'];
  readonly credentialVersion: number;
  /** The connection's position when this was decided. */
  readonly position: number;
  /** The planned time; only where it was planned. */
  readonly dueAtMs?: number | undefined;
}

/** Puts due messages onto REFRESH: one a connection at a time, whoever asks and however often. */
@Injectable()
export class DueMessages {
  readonly #bus: Bus;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /**
   * Makes sure that a due message stands. One that stands already is as good, since its worker decides on the newest
   * state; unless it was meant for an older credential, or nobody will ever get it, or it is only planned while somebody
   * waits: in a long queue of its tenant it would be put back for longer than anybody waits.
   *
   * @effect May be repeated. @throws {PosternError} `log.unavailable`, `log.outcome_unknown`
   */
  async publish(due: Due): Promise<void> {
    if (await this.#put(due, 0)) return;
    const replaced = await this.#replaceable(due);
    // Where this one loses, another stands that was published a moment ago.
    if (replaced !== undefined)
      await this.#put({ ...due, dueAtMs: due.dueAtMs ?? replaced.dueAtMs }, replaced.position);
  }

  /** @returns false when something else stands there. */
  async #put(due: Due, expectedLastSubjectPosition: number): Promise<boolean> {
    const { reason, credentialVersion, position, dueAtMs } = due;
    const planned = dueAtMs === undefined ? {} : { due_at_ms: dueAtMs };
    const payload: RefreshDue = { reason, credential_version: credentialVersion, position, ...planned };
    const headers = outgoingHeaders();
    try {
      const subject = subjects.refreshDue(due);
      await publishMessage(this.#bus, { stream, subject, payload, headers, expectedLastSubjectPosition });
      return true;
    } catch (error) {
      if (isPosternError(error) && error.code === 'log.conflict') return false;
      throw error;
    }
  }

  /** What stands, where it may be replaced; position 0 when it is gone. */
  async #replaceable(
    due: Due,
  ): Promise<{ readonly position: number; readonly dueAtMs?: number | undefined } | undefined> {
    const subject = subjects.refreshDue(due);
    const standing = (await lastMessages(this.#bus, { stream, subjects: [subject] })).get(subject);
    if (standing === undefined) return { position: 0 };
    const { position } = standing;
    const said = dueIn(standing);
    // What cannot be read was meant for no credential there is.
    if (said === undefined || said.credential_version < due.credentialVersion) return { position };
    const dueAtMs = said.due_at_ms;
    if (said.reason === 'scheduled' && due.reason !== 'scheduled') return { position, dueAtMs };
    return position <= (await acknowledgedUpTo(this.#bus, 'refreshWorker')) ? { position, dueAtMs } : undefined;
  }
}

/** What a message on REFRESH says is due; undefined when it cannot be read. */
export function dueIn({ payload }: Pick<StoredMessage, 'payload'>): RefreshDue | undefined {
  try {
    return RefreshDue.safeParse(JSON.parse(Buffer.from(payload).toString('utf8'))).data;
  } catch {
    return undefined;
  }
}

const planned = '"reason":"scheduled"';
const plannedTime = /"due_at_ms":(\d+)/;

/** When it was due, or that somebody waits for it: by its bytes alone, as we write them. */
export function dueTimeIn({ buffer, byteOffset, byteLength }: Uint8Array): DueTime {
  const text = Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
  return text.includes(planned) ? Number(plannedTime.exec(text)?.[1] ?? 0) : 'awaited';
}

/** The same of one that was read. */
export function dueTimeOf({ reason, dueAtMs = 0 }: Due): DueTime {
  return reason === 'scheduled' ? dueAtMs : 'awaited';
}

/** Whose it is, by its subject alone, which may still be none of a due message. */
export function tenantOfDue(subject: string): string {
  return subject.split('.', 3)[2] ?? '';
}

/** Reads a due message. @throws {PosternError} `request.malformed` */
export function readDue(subject: string, payload: unknown): Due {
  const due = parseRequest(RefreshDue, payload);
  const { reason, credential_version: credentialVersion, position, due_at_ms: dueAtMs } = due;
  const [stream, kind, tenantId = '', connectionId = '', ...rest] = subject.split('.');
  if (stream !== 'refresh' || kind !== 'due' || rest.length > 0) {
    throw new PosternError('request.malformed', 'This is no subject of a due refresh.');
  }
  assertId('tenant', tenantId);
  assertId('connection', connectionId);
  return { tenantId, connectionId, reason, credentialVersion, position, dueAtMs };
}
