import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { timestampOf } from '@postern/contracts';
import { boughtAtMs, inspectableToken, type Connection, type Credential } from '@postern/domain';
import { issuerAndSubjectKey } from '@postern/provider-client';

import { revocationLimits } from '../revocation-limits.ts';
import { RevocationDatabase } from './revocation-database.ts';
import { revocationSchema } from './tables.ts';

/** A connection whose account was named, and by which key. */
export interface AccountMatch {
  readonly connectionId: string;
  readonly accountKey: string;
}

/** Which connections are looked for. */
export interface AccountQuery {
  readonly registration: { readonly tenantId: string; readonly registrationId: string };
  readonly digests: readonly string[];
  /** By commits between these positions of the log. */
  readonly written: { readonly after: number; readonly until: number };
  /** Beyond this one; empty at first. */
  readonly afterId: string;
  readonly limit: number;
}

/** What one connection's state says of its account. */
export interface AccountFact {
  readonly tenantId: string;
  readonly connectionId: string;
  readonly registrationId: string;
  /** Digests by key; none where the authorization is over for good or names nobody. */
  readonly accountKeys: Readonly<Record<string, string>>;
  /** Null where there is no token about which a provider could be asked. */
  readonly token: InspectableToken | null;
  readonly position: number;
}

/** What the index holds of a refresh token, or of one that was made by hand. */
export interface InspectableToken {
  /** When the provider had it last, as far as this commit knows. */
  readonly heardAtMs: number;
  /** The access token lives so long that no refresh would soon find the grant dead. */
  readonly isAtRisk: boolean;
}

/** What the index holds of a connection in this state. A revoked one stays: it may be authorized again. */
export function accountFactOf(state: Connection, position: number): AccountFact {
  const { tenantId, connectionId, registrationId, credential, authorization } = state;
  const isOver = authorization === 'deleted' || credential === null;
  return {
    tenantId,
    connectionId,
    registrationId,
    accountKeys: isOver ? {} : accountKeysOf(credential),
    token: isOver ? null : tokenOf(credential),
    position,
  };
}

function tokenOf(credential: Credential): InspectableToken | null {
  const kind = inspectableToken(credential);
  if (kind === null) return null;
  const { accessTokenExpiresAtMs: endsAtMs, inspectedAtMs = 0 } = credential;
  const boughtMs = boughtAtMs(credential);
  const livesLong = endsAtMs === null || endsAtMs - boughtMs > revocationLimits.accessTokenLifeMsAtRisk;
  // What was made by hand has no end anywhere: what its file says is meant for just that.
  const isAtRisk = kind === 'refresh_token' && livesLong;
  return { heardAtMs: Math.max(boughtMs, inspectedAtMs), isAtRisk };
}

function accountKeysOf({ accountDigest, accountKeys }: Credential): Record<string, string> {
  return { ...(accountDigest === null ? {} : { [issuerAndSubjectKey]: accountDigest }), ...accountKeys };
}

const account = `${revocationSchema}.account`;
const inspection = `${revocationSchema}.inspection`;
const reading = `${revocationSchema}.log_reading`;
const readingName = 'accounts';
const findQuery = {
  name: 'accounts_found',
  text: `select distinct on (connection_id) connection_id as "connectionId", account_key as "accountKey" from ${account}
    where tenant_id = $1 and registration_id = $2 and digest = any ($3::text[]) and position > $4 and position <= $5
      and connection_id > $6
    order by connection_id, account_key limit $7`,
};

/** The rows of the index of accounts. Whatever is written twice, or late, leaves what the newest commit says. */
@Injectable()
export class AccountRows {
  readonly #database: RevocationDatabase;

  constructor(database: RevocationDatabase) {
    this.#database = database;
  }

  /** How far the log was read; null when it never was. @throws {PosternError} `signal.index_unavailable` */
  async readUntil(): Promise<number | null> {
    const rows = await this.#database.inNoTenant((em) =>
      em.execute<{ position: string }[]>(`select position from ${reading} where name = ?`, [readingName]),
    );
    return rows[0] === undefined ? null : Number(rows[0].position);
  }

  /** @effect may be repeated. @throws {PosternError} `signal.index_unavailable` */
  async put(facts: readonly AccountFact[]): Promise<void> {
    for (const [tenantId, ofTenant] of Map.groupBy(facts, (fact) => fact.tenantId)) await this.#put(tenantId, ofTenant);
  }

  /** After what was read until there was written. @throws {PosternError} `signal.index_unavailable` */
  async keepReadUntil(position: number): Promise<void> {
    await this.#database.inNoTenant((em) =>
      em.execute(
        `insert into ${reading} (name, position) values (?, ?)
          on conflict (name) do update set position = greatest(log_reading.position, excluded.position)`,
        [readingName, position],
      ),
    );
  }

  /**
   * Connections of a registration under one of these digests, some at a time in the order of their ids.
   *
   * @throws {PosternError} `signal.index_unavailable`
   */
  async find({ registration, digests, written, afterId, limit }: AccountQuery): Promise<AccountMatch[]> {
    if (digests.length === 0) return [];
    const { tenantId, registrationId } = registration;
    const values = [tenantId, registrationId, digests, written.after, written.until, afterId, limit];
    const rows = await this.#database.readInTenant(tenantId, { ...findQuery, values });
    return rows.map((row) => row as unknown as AccountMatch);
  }

  async #put(tenantId: string, facts: readonly AccountFact[]): Promise<void> {
    await this.#database.inTenant(tenantId, async (em) => {
      for (const fact of facts) {
        const { connectionId, registrationId, accountKeys, position } = fact;
        await em.execute(`delete from ${account} where tenant_id = ? and connection_id = ? and position < ?`, [
          tenantId,
          connectionId,
          position,
        ]);
        for (const [accountKey, digest] of Object.entries(accountKeys)) {
          await em.execute(
            `insert into ${account} (tenant_id, registration_id, digest, connection_id, account_key, position)
              select ?, ?, ?, ?, ?, ?
              where not exists (select from ${account} where tenant_id = ? and connection_id = ? and position > ?)
              on conflict do nothing`,
            [
              ...[tenantId, registrationId, digest, connectionId, accountKey, position],
              tenantId,
              connectionId,
              position,
            ],
          );
        }
        await putToken(em, fact);
      }
    });
  }
}

/** What was asked, and heard since, stays with the connection. */
async function putToken(em: EntityManager, fact: AccountFact): Promise<void> {
  const { tenantId, connectionId, registrationId, token, position } = fact;
  if (token === null) {
    await em.execute(`delete from ${inspection} where tenant_id = ? and connection_id = ? and position <= ?`, [
      tenantId,
      connectionId,
      position,
    ]);
    return;
  }
  const { isAtRisk, heardAtMs } = token;
  await em.execute(
    `insert into ${inspection} (tenant_id, connection_id, registration_id, at_risk, heard_at, position)
      values (?, ?, ?, ?, ?, ?)
      on conflict (tenant_id, connection_id) do update set registration_id = excluded.registration_id,
        at_risk = excluded.at_risk, heard_at = greatest(inspection.heard_at, excluded.heard_at),
        position = excluded.position where inspection.position < excluded.position`,
    [tenantId, connectionId, registrationId, isAtRisk, timestampOf(heardAtMs), position],
  );
}
