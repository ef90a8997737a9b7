import { defineEntity, p } from '@mikro-orm/core';
import { tenantPolicySql, type DatabaseMigration, type TablePrivilege } from '@postern/persistence';

/** The schema of `revocation`'s own; nobody else has rights in it. */
export const revocationSchema = 'revocation';

/** Holds nothing of any tenant: how far the log was read. */
export const sharedTables = ['log_reading'] as const;

/** A connection under one digest of its account, while its authorization stands. */
export const AccountTable = defineEntity({
  name: 'Account',
  tableName: 'account',
  properties: {
    tenantId: p.string().primary(),
    registrationId: p.string().primary(),
    digest: p.string().primary(),
    connectionId: p.string().primary(),
    accountKey: p.string(),
    /** Of the commit by which it is so. */
    position: p.bigint(),
  },
});

const place = (table: string) => `${revocationSchema}.${table}`;
const ofTenant = `tenant_id text not null check (tenant_id like 'ten\\_%')`;

/** Run by the supervisor as the owner, never by the service. Everything here can be made again from the log. */
export const revocationMigrations: readonly DatabaseMigration[] = Object.freeze([
  {
    name: '0001_signals',
    sql: [
      `create table ${place('account')} (${ofTenant},
        registration_id text not null,
        digest text not null,
        connection_id text not null,
        account_key text not null,
        position bigint not null,
        primary key (tenant_id, registration_id, digest, connection_id))`,
      `create index account_connection on ${place('account')} (tenant_id, connection_id)`,
      ...tenantPolicySql(place('account')),
      `create table ${place('weighed_signal')} (${ofTenant},
        position bigint not null,
        registration_id text not null,
        source text not null,
        type text not null,
        delivery_id text not null,
        received_at timestamptz not null,
        outcome text not null,
        revoked integer not null,
        suspected integer not null,
        matched integer not null,
        weighed_at timestamptz not null,
        primary key (tenant_id, position))`,
      ...tenantPolicySql(place('weighed_signal')),
      `create table ${place('log_reading')} (name text primary key, position bigint not null)`,
    ],
  },
  // Accounts are found by issuer and subject too since then: what was read without is read again.
  { name: '0002_issuer_and_subject', sql: [`delete from ${place('log_reading')}`] },
  {
    name: '0003_inspections',
    sql: [
      `create table ${place('inspection')} (${ofTenant},
        connection_id text not null,
        registration_id text not null,
        at_risk boolean not null,
        heard_at timestamptz not null,
        position bigint not null,
        asked_at timestamptz,
        outcome text,
        primary key (tenant_id, connection_id))`,
      `create index inspection_due on ${place('inspection')} (tenant_id, registration_id, at_risk, heard_at)`,
      `create index inspection_asked on ${place('inspection')} (tenant_id, asked_at) where asked_at is not null`,
      ...tenantPolicySql(place('inspection')),
      `create table ${place('inspection_turn')} (${ofTenant},
        registration_id text not null,
        next_at timestamptz not null,
        primary key (tenant_id, registration_id))`,
      ...tenantPolicySql(place('inspection_turn')),
      // Who is to be asked about is learned from the whole log.
      `delete from ${place('log_reading')}`,
    ],
  },
  // What was made by hand is asked about too since then.
  { name: '0004_made_by_hand', sql: [`delete from ${place('log_reading')}`] },
]);

export const revocationGrants: Readonly<Record<string, readonly TablePrivilege[]>> = Object.freeze({
  account: ['select', 'insert', 'update', 'delete'],
  weighed_signal: ['select', 'insert', 'update', 'delete'],
  inspection: ['select', 'insert', 'update', 'delete'],
  inspection_turn: ['select', 'insert', 'update'],
  log_reading: ['select', 'insert', 'update'],
});
