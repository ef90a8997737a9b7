import { defineEntity, p } from '@mikro-orm/core';
import { tenantPolicySql, type DatabaseMigration, type TablePrivilege } from '@postern/persistence';

/** The schema of `audit`'s own; nobody else has rights in it. */
export const auditSchema = 'audit';

/** They hold nothing of any tenant: how far each model has read, what it could not use, where each writer stands. */
export const sharedTables = ['projection', 'set_aside', 'access_writer'] as const;

/** How PostgreSQL stores a column. Times are milliseconds since 1970, as everywhere inside; lists and objects are JSON. */
export type ColumnType = 'text' | 'bigint' | 'boolean';

/** One table of a read model. Every row has `generation` and `tenant_id` beside these. */
export interface ModelTable {
  readonly name: string;
  /** What tells two rows of one tenant and generation apart. */
  readonly key: readonly string[];
  readonly columns: Readonly<Record<string, ColumnType>>;
}

/** One whose rows grow old, and are dropped then. */
export interface AgingTable extends ModelTable {
  /** The column that says how old. */
  readonly agesBy: string;
}

/** A row as a model makes it, by column. */
export type ModelRow = Readonly<Record<string, string | number | boolean | null>>;

const standing = { connection_id: 'text', revision: 'bigint', hash: 'text' } as const;
const whose = { platform_id: 'text', provider_id: 'text', registration_id: 'text' } as const;

/** What each connection is. */
export const connectionTable: ModelTable = {
  name: 'connection',
  key: ['connection_id'],
  columns: {
    ...standing,
    ...whose,
    position: 'bigint',
    at_ms: 'bigint',
    created_at_ms: 'bigint',
    authorization_state: 'text',
    suspended: 'boolean',
    health: 'text',
    credential_version: 'bigint',
    scope: 'text',
  },
};

/** How each connection fares. */
export const connectionHealthTable: ModelTable = {
  name: 'connection_health',
  key: ['connection_id'],
  columns: {
    ...standing,
    ...whose,
    authorization_state: 'text',
    suspended: 'boolean',
    suspected: 'boolean',
    state_since_ms: 'bigint',
    cause: 'text',
    failing_since_ms: 'bigint',
    failing_kind: 'text',
    failing_error: 'text',
    next_attempt_at_ms: 'bigint',
    last_attempt_at_ms: 'bigint',
    last_success_at_ms: 'bigint',
    grant_died_at_ms: 'bigint',
    authorized_at_ms: 'bigint',
    bought_at_ms: 'bigint',
    access_ends_at_ms: 'bigint',
    authorization_ends_at_ms: 'bigint',
    has_refresh_token: 'boolean',
    had_by: 'text',
    file_version: 'bigint',
    drifted_at_ms: 'bigint',
    lost_scopes: 'text',
    missing_scopes: 'text',
    attempts: 'text',
  },
};

/** Which notices each decision led to. */
export const notificationTable: ModelTable = {
  name: 'notification',
  key: ['notification_id'],
  columns: {
    notification_id: 'text',
    connection_id: 'text',
    platform_id: 'text',
    type: 'text',
    position: 'bigint',
    at_ms: 'bigint',
    health: 'text',
    cause: 'text',
    evidence: 'text',
  },
};

/** What the next commit of a connection is compared with to tell a notice; nobody asks for it. */
export const notificationBasisTable: ModelTable = {
  name: 'notification_basis',
  key: ['connection_id'],
  columns: { ...standing, before: 'text' },
};

/** Who used which connection in which hour, how often, granted (no code) or refused (by its code). */
export const accessHourTable: AgingTable = {
  name: 'access_hour',
  key: ['connection_id', 'hour_ms', 'platform_id', 'agent_id', 'code'],
  columns: {
    connection_id: 'text',
    hour_ms: 'bigint',
    platform_id: 'text',
    agent_id: 'text',
    code: 'text',
    uses: 'bigint',
    first_at_ms: 'bigint',
    last_at_ms: 'bigint',
  },
  agesBy: 'hour_ms',
};

export const modelTables: readonly ModelTable[] = [
  connectionTable,
  connectionHealthTable,
  notificationTable,
  notificationBasisTable,
  accessHourTable,
];

const properties = { text: () => p.string(), bigint: () => p.bigint(), boolean: () => p.boolean() } as const;

/** The same for the ORM. */
export const auditEntities = modelTables.map(({ name, key, columns }) =>
  defineEntity({
    name,
    tableName: name,
    properties: {
      generation: p.integer().primary(),
      tenant_id: p.string().primary(),
      ...Object.fromEntries(
        Object.entries(columns).map(([column, type]) => [
          column,
          key.includes(column) ? properties[type]().primary() : properties[type]().nullable(),
        ]),
      ),
    },
  }),
);

const place = (table: string) => `${auditSchema}.${table}`;

function createTable({ name, key, columns }: ModelTable): string[] {
  const lines = Object.entries(columns).map(
    ([column, type]) => `${column} ${type}${key.includes(column) ? ' not null' : ''}`,
  );
  return [
    `create table ${place(name)} (generation integer not null, tenant_id text not null check (tenant_id like 'ten\\_%'),
      ${lines.join(', ')}, primary key (generation, tenant_id, ${key.join(', ')}))`,
    ...tenantPolicySql(place(name)),
  ];
}

/** Run by the supervisor as the owner, never by the service. Everything here can be made again from the log. */
export const auditMigrations: readonly DatabaseMigration[] = Object.freeze([
  {
    name: '0001_read_models',
    sql: [
      ...modelTables.flatMap(createTable),
      `create index notification_connection on ${place('notification')} (generation, tenant_id, connection_id, position)`,
      `create table ${place('projection')} (
        model text not null,
        generation integer not null,
        role text not null check (role in ('live', 'building', 'verifying', 'old')),
        position bigint not null,
        log_identity text not null,
        messages bigint not null,
        since_ms bigint not null,
        kept_from_ms bigint not null default 0,
        primary key (model, generation))`,
      `create unique index projection_role on ${place('projection')} (model, role) where role <> 'old'`,
      `create table ${place('set_aside')} (
        model text not null,
        generation integer not null,
        position bigint not null,
        kind text not null,
        reason text not null,
        primary key (model, generation, position))`,
      `create table ${place('access_writer')} (
        generation integer not null,
        writer text not null,
        sequence bigint not null,
        primary key (generation, writer))`,
    ],
  },
  {
    // For tables made before it: the one above names every column of today. Null is what a fold of those rows gives.
    name: '0002_had_by',
    sql: [`alter table ${place('connection_health')} add column if not exists had_by text`],
  },
  {
    name: '0003_kept_from',
    sql: [
      `alter table ${place('projection')} add column if not exists kept_from_ms bigint not null default 0`,
      `create index access_hour_age on ${place('access_hour')} (generation, tenant_id, hour_ms)`,
    ],
  },
  {
    // As 0002: a row without it is judged by what new connections get, until the connection changes or a rebuild.
    name: '0004_file_version',
    sql: [`alter table ${place('connection_health')} add column if not exists file_version bigint`],
  },
  {
    // Each commit writes its connection's row again: with room on its page the index need not hear of that.
    name: '0005_room_to_write_again',
    sql: [connectionTable, connectionHealthTable, notificationBasisTable].map(
      ({ name }) => `alter table ${place(name)} set (fillfactor = 50)`,
    ),
  },
]);

const all = ['select', 'insert', 'update', 'delete'] as const;

export const auditGrants: Readonly<Record<string, readonly TablePrivilege[]>> = Object.freeze(
  Object.fromEntries([...modelTables.map(({ name }) => name), ...sharedTables].map((name) => [name, all])),
);
