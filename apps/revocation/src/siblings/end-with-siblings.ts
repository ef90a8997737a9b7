import { Injectable } from '@nestjs/common';
import { administratorToken, isPosternError, limits, PosternError } from '@postern/contracts';
import { requireOwnedBy, revokeConnection, type Connection, type RevokeConnection } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingOwner, eachOf, Logger, type CallingOwner } from '@postern/service';

import { ConnectionCommands, type Decision, type Outcome } from '../connection-commands.ts';
import { Connections } from '../connections.ts';
import { Directory } from '../directory.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { Siblings } from './siblings.ts';

/** What somebody asked to end, and whether what ends with it at the provider may. */
export interface EndWithSiblings {
  readonly connectionId: string;
  readonly cascade: boolean;
}

/** Ends a connection, and with it those that its end at the provider would end, when the caller has said so. */
@Injectable()
export class EndsWithSiblings {
  constructor(
    private readonly commands: ConnectionCommands,
    private readonly directory: Directory,
    private readonly connections: Connections,
    private readonly siblings: Siblings,
    private readonly logger: Logger,
  ) {}

  /**
   * The others first: a repeat after a crash in between finds what is left, for as long as this one lives.
   *
   * @effect appends at most one commit a connection, durable when this resolves.
   * @throws {PosternError} `connection.siblings_would_end` before anything is decided; what the decision refuses;
   *   `signal.index_unavailable` after the connection itself has ended, when the others cannot be found
   */
  async decide(
    call: Call,
    { connectionId, cascade }: EndWithSiblings,
    decision: Decision,
  ): Promise<Outcome & { cascaded: string[] }> {
    const requester = callingOwner(call);
    await this.directory.requireActive(requester);
    const { state } = await this.connections.load(
      { tenantId: requester.tenantId, id: connectionId },
      { fromLeader: true },
    );
    requireOwnedBy(state, requester);
    const found = await this.#visible(state, requester);
    if (!cascade) requireNone(found.siblings);
    const cascaded = await this.#endAll(call, { connectionId, siblings: found.siblings });
    const outcome = await this.commands.decide(call, connectionId, decision);
    if (cascade && found.error !== undefined) throw found.error;
    const position = Math.max(outcome.position, ...cascaded.map((ended) => ended.position));
    return { ...outcome, position, cascaded: cascaded.map((ended) => ended.connection_id) };
  }

  /** Whoever asks without a database is not held up: what is refused here needs none, and the provider is told later. */
  async #visible(
    state: Connection,
    { platformId }: CallingOwner,
  ): Promise<{ siblings: Connection[]; error?: PosternError }> {
    // What others authorized since is not what a repeat is about.
    if (state.authorization === 'revoked' || state.authorization === 'deleted') return { siblings: [] };
    try {
      const living = await this.siblings.livingOf(state);
      const siblings = living.filter((one) => platformId === administratorToken || one.platformId === platformId);
      return { siblings };
    } catch (error) {
      if (!isPosternError(error) || error.code !== 'signal.index_unavailable') throw error;
      this.logger.warn('what ends with a connection is not known', { connectionId: state.connectionId, err: error });
      return { siblings: [], error };
    }
  }

  async #endAll(
    call: Call,
    { connectionId, siblings }: { connectionId: string; siblings: readonly Connection[] },
  ): Promise<Outcome[]> {
    const reason = `The provider ends it with ${connectionId}.`;
    const ended: Outcome[] = [];
    await eachOf(siblings, revocationLimits.signalFanOutMax, async ({ connectionId: id }) => {
      const outcome = await this.commands.decide(call, id, (current, { actor }) =>
        // Deleted or authorized anew meanwhile: not what was asked.
        current.authorization === 'authorized' ? revokeConnection({ cause: causeOf(actor), reason }, current) : [],
      );
      ended.push(outcome);
    });
    return ended;
  }
}

/** Who asked. */
export function causeOf({ type }: CallingOwner['actor']): RevokeConnection['cause'] {
  return type === 'administrator' ? 'requested_by_administrator' : 'requested_by_platform';
}

function requireNone(siblings: readonly Connection[]): void {
  if (siblings.length === 0) return;
  const named = siblings.slice(0, limits.siblingsNamedMax).map(({ connectionId }) => connectionId);
  const message = `At the provider ${siblings.length} more of your connections would end with it.`;
  throw new PosternError('connection.siblings_would_end', message, { details: { siblings: named } });
}
