import { Injectable } from '@nestjs/common';
import { operations, timestampOf, type AccessRecord, type ReplyOf, type RequestOf } from '@postern/contracts';
import { requireOwnedBy } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingOwner, Serves } from '@postern/service';

import { Past } from '../past/past.ts';
import { pageMs } from './page.ts';
import { neverNamed, scopeFacts, scopesUsed } from './scope-facts.ts';

type Request = RequestOf<typeof operations.connectionScopes>;
type Reply = ReplyOf<typeof operations.connectionScopes>;

const daysDefault = 30;
const dayMs = 86_400_000;

/**
 * Answers `connections.scopes`: asked and given as CONNECTIONS has them, used as ACCESS has it.
 *
 * A lease's scopes are what its agent said that it is for. Nobody here sees what is done with the token, so a lease that
 * named none may have been for any.
 */
@Injectable()
export class ConnectionScopes {
  constructor(private readonly past: Past) {}

  @Serves(operations.connectionScopes)
  async answer(request: Request, call: Call): Promise<Reply> {
    const asker = callingOwner(call);
    const answeredAt = await this.past.moment(request.at);
    const ref = { tenantId: asker.tenantId, id: request.connection_id };
    const { state } = await this.past.connection(ref, answeredAt.connections);
    requireOwnedBy(state, asker);
    const directory = await this.past.directory(ref.tenantId, answeredAt.admin);
    const since = timestampOf(Date.parse(answeredAt.time) - (request.days ?? daysDefault) * dayMs);
    const { access: before } = await this.past.moment(since);
    const fromPosition = Math.max(before + 1, Number(request.after ?? 0));
    const read = await this.#read({ ...ref, fromPosition, untilPosition: answeredAt.access });
    const used = scopesUsed(read.records);
    const facts = await scopeFacts(this.past.history(ref, answeredAt.connections), state);
    const isWhole = request.after === undefined && read.next === null && read.not_believed.length === 0;
    return {
      answered_at: answeredAt,
      connection_id: request.connection_id,
      ...facts,
      used: { since, ...used, missing: [...(state.credential?.missingScopes ?? [])] },
      could_be_dropped: neverNamed(facts.given?.scopes ?? [], used, state, directory.rollout(state.providerId)),
      certain: isWhole && used.without_scopes === 0,
      not_believed: read.not_believed,
      read_up_to: read.read_up_to,
      next: read.next,
    };
  }

  async #read({ tenantId, id, fromPosition, untilPosition }: Reading) {
    const records: AccessRecord[] = [];
    const notBelieved: Reply['not_believed'] = [];
    const told = { records, not_believed: notBelieved };
    if (fromPosition > untilPosition) return { ...told, read_up_to: untilPosition, next: null };
    const deadlineMs = performance.now() + pageMs;
    for await (const message of this.past.access({ fromPosition, untilPosition })) {
      const { position } = message;
      if (performance.now() > deadlineMs) return { ...told, read_up_to: position - 1, next: String(position) };
      // Looked at before it is checked: most groups tell nothing of this connection.
      if (!Buffer.from(message.payload).includes(id)) continue;
      const read = this.past.accessReader.read(message);
      if (read.kind !== 'access') {
        notBelieved.push({ position, kind: read.kind, reason: read.reason });
        continue;
      }
      const { records: all } = read.entry.group;
      records.push(...all.filter((one) => one.tenantId === tenantId && one.connectionId === id));
    }
    return { ...told, read_up_to: untilPosition, next: null };
  }
}

interface Reading {
  readonly tenantId: string;
  readonly id: string;
  readonly fromPosition: number;
  readonly untilPosition: number;
}
