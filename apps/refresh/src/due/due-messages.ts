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
import { Bus, publishMessage } from '@postern/nats';
import { outgoingHeaders } from '@postern/service';

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
   * Makes sure that a due message stands. One that stands already is as good: its worker decides on the newest state.
   *
   * @effect May be repeated. @throws {PosternError} `log.unavailable`, `log.outcome_unknown`
   */
  async publish({ tenantId, connectionId, reason, credentialVersion, position, dueAtMs }: Due): Promise<void> {
    const planned = dueAtMs === undefined ? {} : { due_at_ms: dueAtMs };
    const payload: RefreshDue = { reason, credential_version: credentialVersion, position, ...planned };
    try {
      await publishMessage(this.#bus, {
        stream: streams.refresh.name,
        subject: subjects.refreshDue({ tenantId, connectionId }),
        payload,
        headers: outgoingHeaders(),
        expectedLastSubjectPosition: 0,
      });
    } catch (error) {
      if (!isPosternError(error) || error.code !== 'log.conflict') throw error;
    }
  }
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
