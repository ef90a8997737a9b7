import { Injectable } from '@nestjs/common';
import {
  isPosternError,
  limits,
  newId,
  operations,
  PosternError,
  type ImportedRow,
  type ReplyOf,
  type RequestOf,
  type TokenSet,
} from '@postern/contracts';
import { denyAuthorization, startImport, type Platform } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingOwner, commitOrigin, crashPoint, eachOf, Logger, Serves, type CallingOwner } from '@postern/service';

import { authorizationLimits } from '../authorization-limits.ts';
import { PendingTokens } from '../callback/pending-tokens.ts';
import { Completion } from '../complete-session/completion.ts';
import { Directory } from '../directory/directory.ts';
import { Connections } from '../sessions/connections.ts';
import { beginningOf, ExamineRows, type ExaminedRow, type Importable } from './examine-rows.ts';

type Request = RequestOf<typeof operations.importConnections>;
type Reply = ReplyOf<typeof operations.importConnections>;
type Actor = CallingOwner['actor'];

/** A connection of an import that is under way, and the session in whose place it stands. */
interface Importing extends Importable {
  readonly sessionId: string;
  readonly tenantId: string;
  readonly platformId: string;
}

/**
 * `connections.import`: connections that another broker held, all of them or none.
 *
 * Each begins in the log and has its tokens in the vault, as a session that is being exchanged: nothing can be leased of
 * it. Then one batch records all of them. Before that batch nothing counts, after it everything does, and nobody has to
 * come back for either: a crash before it leaves sessions that end by themselves, one after it leaves nothing to do.
 */
@Injectable()
export class ImportConnections {
  readonly #rows: ExamineRows;
  readonly #connections: Connections;
  readonly #directory: Directory;
  readonly #pending: PendingTokens;
  readonly #completion: Completion;
  readonly #logger: Logger;

  constructor(
    rows: ExamineRows,
    connections: Connections,
    directory: Directory,
    pending: PendingTokens,
    completion: Completion,
    logger: Logger,
  ) {
    this.#rows = rows;
    this.#connections = connections;
    this.#directory = directory;
    this.#pending = pending;
    this.#completion = completion;
    this.#logger = logger;
  }

  @Serves(operations.importConnections)
  async import(request: Request, call: Call): Promise<Reply> {
    const { platform, actor } = await this.#asker(request, call);
    const examined = await this.#rows.examine(request.rows, platform);
    if (request.dry_run === true) return { rows: examined.map((row) => told(row, 'importable')), position: null };
    requireInOrder(examined);
    const { tenantId, platformId } = platform;
    const wanted = examined.flatMap((row): Importing[] =>
      row.kind === 'importable' ? [{ ...row, sessionId: newId('session'), tenantId, platformId }] : [],
    );
    const position = wanted.length === 0 ? null : await this.#take(wanted, actor);
    return { rows: examined.map((row) => told(row, 'imported')), position };
  }

  async #asker({ platform_id: named }: Request, call: Call): Promise<{ platform: Platform; actor: Actor }> {
    const { tenantId, platformId: caller, actor } = callingOwner(call);
    const platformId = actor.type === 'platform' ? caller : named;
    if (platformId === undefined || (named ?? platformId) !== platformId) {
      throw new PosternError('request.malformed', 'platform_id must name the platform whose connections they become.');
    }
    return { platform: await this.#directory.activePlatform({ tenantId, platformId }), actor };
  }

  /** @returns where the last of them stands */
  async #take(wanted: readonly Importing[], actor: Actor): Promise<number> {
    const first = wanted[0]?.connectionId ?? '';
    try {
      await this.#each(wanted, (one) => this.#begin(one, actor));
      crashPoint('after the import began', first);
      await this.#each(wanted, (one) => this.#pending.store(one, tokenSetOf(one)));
      crashPoint('after its tokens were stored', first);
      const done = await this.#completion.recordTogether(wanted.map(completedOf), actor);
      crashPoint('after the import', first);
      return Math.max(...done.map(({ position }) => position));
    } catch (error) {
      const position = await this.#abandon(wanted, actor);
      if (position !== undefined) return position;
      this.#logger.warn('an import was abandoned', { rows: wanted.length, err: error });
      throw error;
    }
  }

  async #each(wanted: readonly Importing[], work: (one: Importing) => Promise<void>): Promise<void> {
    await eachOf(wanted, authorizationLimits.importInFlightMax, work);
  }

  async #begin({ tenantId, connectionId, sessionId, ...one }: Importing, actor: Actor): Promise<void> {
    await this.#connections.execute(
      { tenantId, id: connectionId },
      (connection, { nowMs }) => {
        const times = { nowMs, expiresAtMs: nowMs + limits.sessionTtlMs };
        const beginning = beginningOf({ ...one, connectionId }, one.platformId);
        return startImport({ ...beginning, sessionId, ...times }, connection);
      },
      { actor, fromLeader: true, ...commitOrigin() },
    );
  }

  /**
   * Ends what was begun. Where nobody knows whether the batch was stored, the first denial settles it: it stands after a
   * batch that was, or is in the way of one that still might be.
   *
   * @returns where the import stands, if it was stored all the same
   */
  async #abandon(wanted: readonly Importing[], actor: Actor): Promise<number | undefined> {
    for (const one of wanted) {
      const outcome = await this.#deny(one, actor);
      if (typeof outcome === 'number') return outcome;
      // The log is away: the sessions end by themselves, and the same rows again go on from whatever stands.
      if (outcome === 'unknown') return undefined;
    }
    return undefined;
  }

  async #deny({ tenantId, connectionId, sessionId }: Importing, actor: Actor): Promise<number | 'denied' | 'unknown'> {
    const denial = { sessionId, stage: 'exchange', error: 'import_abandoned', errorDescription: null } as const;
    const ref = { tenantId, id: connectionId };
    try {
      await this.#connections.execute(
        ref,
        (connection, { nowMs }) => denyAuthorization({ ...denial, nowMs }, connection),
        { actor, fromLeader: true, ...commitOrigin() },
      );
      return 'denied';
    } catch (error) {
      if (!isPosternError(error)) throw error;
      if (error.code === 'session.already_used') {
        return (await this.#connections.load(ref, { fromLeader: true })).position;
      }
      // Never begun, or a newer import took its place.
      return error.code.startsWith('session.') || error.code.startsWith('connection.') ? 'denied' : 'unknown';
    }
  }
}

/** @throws {PosternError} `connection.import_refused` that names every row with what is wrong about it */
function requireInOrder(examined: readonly ExaminedRow[]): void {
  const fields = examined.flatMap((row, index) =>
    row.kind === 'refused' ? [{ path: `rows[${index}]`, reason: `${row.error.code}: ${row.error.message}` }] : [],
  );
  if (fields.length === 0) return;
  const named = fields.slice(0, rowsNamedMax).map(({ path, reason }) => `${path} ${reason}`);
  const words = `${fields.length} of ${examined.length} rows are not in order, and nothing was imported`;
  throw new PosternError('connection.import_refused', `${words}: ${named.join('; ')}`, { details: { fields } });
}

/** So many stand in the sentence; the detail has them all. */
const rowsNamedMax = 5;

function told(row: ExaminedRow, otherwise: 'imported' | 'importable'): ImportedRow {
  const { reference } = row;
  const nothingWrong = { reference, code: null, reason: null };
  switch (row.kind) {
    case 'refused':
      return { reference, connection_id: null, outcome: 'refused', code: row.error.code, reason: row.error.message };
    case 'existing':
      return { ...nothingWrong, connection_id: row.connection.connectionId, outcome: 'existing' };
    case 'importable':
      return { ...nothingWrong, connection_id: row.connectionId, outcome: otherwise };
  }
}

function completedOf(one: Importing) {
  const { tenantId, connectionId, sessionId, endUserDigest, accountDigest, accountKeys } = one;
  const known = { endUserDigest, accountDigest, ...(accountKeys !== undefined && { accountKeys }) };
  return { tenantId, connectionId, sessionId, ...known, grant: 'imported' as const };
}

function tokenSetOf({ tokens, scopes }: Importing): TokenSet {
  const { access_token: accessToken, refresh_token: refreshToken = null, expires_at: expiresAt } = tokens;
  return {
    ...{ accessToken, tokenType: 'Bearer', refreshToken, grantedScopes: [...scopes] },
    accessTokenExpiresAtMs: expiresAt === undefined ? null : Date.parse(expiresAt),
  };
}
