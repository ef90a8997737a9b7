import { tenantPolicySql, type DatabaseMigration, type TablePrivilege } from '@postern/persistence';

/** The schema of `notifier`'s own; nobody else has rights in it. */
export const notifierSchema = 'notifier';

export const deliveryTable = `${notifierSchema}.delivery`;
export const attemptTable = `${notifierSchema}.attempt`;

const ofTenant = `tenant_id text not null check (tenant_id like 'ten\\_%'), webhook_id text not null`;

/** Run by the supervisor as the owner, never by the service. No row holds what was sent: that stands on NOTIFICATIONS. */
export const notifierMigrations: readonly DatabaseMigration[] = Object.freeze([
  {
    name: '0001_deliveries',
    sql: [
      `create table ${deliveryTable} (${ofTenant},
        position bigint not null,
        message_id text not null,
        type text not null,
        status text not null check (status in ('pending', 'delivered', 'dead')),
        attempts integer not null default 0,
        tries integer not null default 0,
        next_attempt_at timestamptz,
        created_at timestamptz not null,
        settled_at timestamptz,
        primary key (tenant_id, webhook_id, position),
        unique (tenant_id, webhook_id, message_id),
        check ((status = 'pending') = (next_attempt_at is not null)))`,
      `create index delivery_due on ${deliveryTable} (tenant_id, webhook_id, next_attempt_at) where status = 'pending'`,
      `create index delivery_settled on ${deliveryTable} (tenant_id, settled_at) where status <> 'pending'`,
      ...tenantPolicySql(deliveryTable),
      `create table ${attemptTable} (${ofTenant},
        position bigint not null,
        attempt integer not null,
        at timestamptz not null,
        outcome text not null,
        http_status integer,
        duration_ms integer not null,
        primary key (tenant_id, webhook_id, position, attempt),
        foreign key (tenant_id, webhook_id, position) references ${deliveryTable} on delete cascade)`,
      ...tenantPolicySql(attemptTable),
    ],
  },
]);

export const notifierGrants: Readonly<Record<string, readonly TablePrivilege[]>> = Object.freeze({
  delivery: ['select', 'insert', 'update', 'delete'],
  attempt: ['select', 'insert', 'delete'],
});
