import { Injectable } from '@nestjs/common';
import {
  administratorToken,
  operations,
  type AccessRecord,
  type ConnectionUse,
  type ReplyOf,
  type RequestOf,
} from '@postern/contracts';
import { delegationView } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingOwner, Serves } from '@postern/service';

import { inRows } from '../past/in-rows.ts';
import { Past } from '../past/past.ts';
import { pageBytesMax, pageDefault, pageMs } from './page.ts';

type Request = RequestOf<typeof operations.whoDid>;
type Reply = ReplyOf<typeof operations.whoDid>;

/** A record, and where the one after it would be. */
interface Found {
  readonly record: AccessRecord;
  readonly position: number;
  readonly next: string;
}

interface Reading {
  readonly found: Found[];
  readonly notBelieved: Reply['not_believed'];
  readUpTo: number;
  next: string | null;
}

/** Answers `audit.who_did`, from ACCESS, whose groups are believed by their signature alone. */
@Injectable()
export class WhoDid {
  constructor(private readonly past: Past) {}

  @Serves(operations.whoDid)
  async answer(request: Request, call: Call): Promise<Reply> {
    const asker = callingOwner(call);
    const answeredAt = await this.past.moment(request.at);
    const after = request.from === undefined ? 0 : (await this.past.moment(request.from)).access;
    const asksFor = (record: AccessRecord) =>
      record.tenantId === asker.tenantId &&
      (asker.platformId === administratorToken || record.platformId === asker.platformId) &&
      isWanted(record, request);
    const needle = request.connection_id ?? request.agent_id ?? request.platform_id ?? asker.tenantId;
    const range = { after, untilPosition: answeredAt.access };
    const reading = await this.#read(request, { asksFor, needle, ...range });
    const scopes = new Map<string, Promise<string[] | null>>();
    const uses = await inRows(reading.found, async ({ record, position }) =>
      useOf(record, position, await this.#scopesOf(record, scopes)),
    );
    return {
      answered_at: answeredAt,
      ...bounded(uses, reading),
      not_believed: reading.notBelieved,
      read_up_to: reading.readUpTo,
    };
  }

  async #read(
    { after: cursor = '0.0', limit = pageDefault }: Request,
    asked: {
      readonly asksFor: (record: AccessRecord) => boolean;
      readonly needle: string;
      readonly after: number;
      readonly untilPosition: number;
    },
  ): Promise<Reading> {
    const [cursorPosition = 0, cursorIndex = 0] = cursor.split('.').map(Number);
    const fromPosition = Math.max(asked.after + 1, cursorPosition, 1);
    const { untilPosition } = asked;
    const reading: Reading = { found: [], notBelieved: [], readUpTo: untilPosition, next: null };
    if (fromPosition > untilPosition) return reading;
    const deadlineMs = performance.now() + pageMs;
    for await (const message of this.past.access({ fromPosition, untilPosition })) {
      const { position } = message;
      if (performance.now() > deadlineMs) return { ...reading, readUpTo: position - 1, next: `${position}.0` };
      // Looked at before it is checked: most groups tell nothing of what is asked.
      if (!Buffer.from(message.payload).includes(asked.needle)) continue;
      const read = this.past.accessReader.read(message);
      if (read.kind !== 'access') {
        reading.notBelieved.push({ position, kind: read.kind, reason: read.reason });
        continue;
      }
      for (const [index, record] of read.entry.group.records.entries()) {
        if ((position === cursorPosition && index < cursorIndex) || !asked.asksFor(record)) continue;
        reading.found.push({ record, position, next: `${position}.${index + 1}` });
        if (reading.found.length === limit) {
          return { ...reading, readUpTo: position, next: `${position}.${index + 1}` };
        }
      }
    }
    return reading;
  }

  /** What the credential of that version was granted: the log says it, not the record. */
  #scopesOf(record: AccessRecord, known: Map<string, Promise<string[] | null>>): Promise<string[] | null> {
    const { outcome, credentialVersion, connectionId } = record;
    if (outcome !== 'granted' || credentialVersion === null) return Promise.resolve(null);
    const key = `${connectionId}/${credentialVersion}`;
    const scopes = known.get(key) ?? this.#grantedScopes(record, credentialVersion);
    known.set(key, scopes);
    return scopes;
  }

  async #grantedScopes({ tenantId, connectionId, position }: AccessRecord, version: number): Promise<string[] | null> {
    const ref = { tenantId, id: connectionId };
    const { credential } = (await this.past.connection(ref, position)).state;
    if (credential?.version === version) return credential.grantedScopes;
    let scopes: string[] | null = null;
    for await (const { commit } of this.past.history(ref, position)) {
      for (const { data } of commit.events) {
        if (data['credentialVersion'] === version && Array.isArray(data['grantedScopes'])) {
          scopes = data['grantedScopes'] as string[];
        }
      }
    }
    return scopes;
  }
}

function isWanted(record: AccessRecord, { connection_id, platform_id, agent_id, outcome }: Request): boolean {
  return (
    (connection_id === undefined || record.connectionId === connection_id) &&
    (platform_id === undefined || record.platformId === platform_id) &&
    (agent_id === undefined || record.agentId === agent_id) &&
    (outcome === undefined || record.outcome === outcome)
  );
}

/** As many as one message holds; the page then ends before its end. */
function bounded(uses: ConnectionUse[], { found, next }: Reading): Pick<Reply, 'uses' | 'next'> {
  let bytes = 0;
  for (const [index, use] of uses.entries()) {
    bytes += JSON.stringify(use).length;
    if (bytes > pageBytesMax && index > 0) return { uses: uses.slice(0, index), next: found[index - 1]?.next ?? null };
  }
  return { uses, next };
}

function useOf(record: AccessRecord, position: number, scope: string[] | null): ConnectionUse {
  return {
    position,
    lease_id: record.leaseId,
    at: record.at,
    connection_id: record.connectionId,
    platform_id: record.platformId,
    agent_id: record.agentId,
    purpose: record.purpose,
    outcome: record.outcome,
    code: record.code,
    scope,
    asked_scopes: record.scopes,
    credential_version: record.credentialVersion,
    decided_at_position: record.position,
    correlation_id: record.correlationId,
    ...(record.delegation && { delegation: record.delegation.map(delegationView) }),
  };
}
