import { tenantPolicySql, type DatabaseMigration } from '@postern/persistence';

import { vaultSchema } from './tables.ts';

const table = (name: string, ...columns: string[]): string[] => [
  `create table ${vaultSchema}.${name} (tenant_id text not null check (tenant_id like 'ten\\_%'), ${columns.join(', ')})`,
  ...tenantPolicySql(`${vaultSchema}.${name}`),
];

/** The vault's schema, step by step; run by the supervisor as the owner, never by the vault. */
export const vaultMigrations: readonly DatabaseMigration[] = Object.freeze([
  {
    name: '0001_credentials',
    sql: [
      ...table(
        'data_key',
        'owner_id text not null',
        'wrapped_key text',
        'created_at timestamptz not null',
        'primary key (tenant_id, owner_id)',
      ),
      ...table(
        'credential',
        'connection_id text not null',
        'bought_by text not null',
        'version integer not null check (version > 0)',
        'credential_id text not null unique',
        'access_ciphertext bytea not null',
        'refresh_ciphertext bytea',
        'created_at timestamptz not null',
        'primary key (tenant_id, connection_id, version)',
        'unique (tenant_id, connection_id, bought_by)',
      ),
      ...table(
        'pending_credential',
        'connection_id text not null',
        'session_id text not null',
        'credential_id text not null unique',
        'ciphertext bytea not null',
        'expires_at timestamptz not null',
        'primary key (tenant_id, connection_id, session_id)',
      ),
      `create index pending_credential_expiry on ${vaultSchema}.pending_credential (tenant_id, expires_at)`,
      ...table(
        'client_secret',
        'registration_id text not null',
        'version integer not null check (version > 0)',
        'ciphertext bytea not null',
        'created_at timestamptz not null',
        'primary key (tenant_id, registration_id, version)',
      ),
    ],
  },
  {
    name: '0002_key_lives',
    sql: [
      // Computed from what is wrapped, so that it cannot tell another story, and without an update: that would meet
      // only the rows that row-level security shows to whoever migrates.
      `alter table ${vaultSchema}.data_key
        add column generation integer not null default 1 check (generation > 0),
        add column wrapped_version integer generated always as
          ((regexp_match(wrapped_key, '^(local:v1:|vault:v)([0-9]{1,9}):'))[2]::integer) stored,
        add column made_version integer,
        add column shredded_at timestamptz,
        add column shredded_version integer`,
      `create index data_key_versions on ${vaultSchema}.data_key (tenant_id, wrapped_version, made_version)`,
      ...['credential', 'pending_credential', 'client_secret'].map(
        (name) => `alter table ${vaultSchema}.${name} add column key_generation integer not null default 1`,
      ),
      ...table(
        'key_retirement',
        'before_version integer not null check (before_version > 0)',
        'began_at timestamptz not null',
        'gone_at timestamptz',
        'primary key (tenant_id, before_version)',
      ),
    ],
  },
  {
    // Client secrets were the only ones. Their ciphertexts name their kind already, so they open where they now stand.
    name: '0003_owned_secrets',
    sql: [
      `alter table ${vaultSchema}.client_secret rename to owned_secret`,
      `alter table ${vaultSchema}.owned_secret rename column registration_id to owner_id`,
      `alter table ${vaultSchema}.owned_secret add column kind text not null default 'client_secret'`,
      `alter table ${vaultSchema}.owned_secret alter column kind drop default`,
      `alter table ${vaultSchema}.owned_secret drop constraint client_secret_pkey`,
      `alter table ${vaultSchema}.owned_secret add primary key (tenant_id, owner_id, kind, version)`,
    ],
  },
]);
