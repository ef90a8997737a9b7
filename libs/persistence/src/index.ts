export { connectTimeoutMs, openDatabase, statementTimeoutMs, type Database, type DatabaseOptions } from './database.ts';
export { type CrossingTransaction } from './crossing.ts';
export { migrateDatabase, type DatabaseMigration, type MigrateOptions, type TablePrivilege } from './migrate.ts';
export { type Revealable } from './revealable.ts';
export { tenantPolicyName, tenantPolicySql, tenantSetting } from './tenant-policy.ts';
export { isUniqueViolation } from './unique-violation.ts';
export { lookup, type Lookup, type Row, type TenantQuery } from './walled-query.ts';
