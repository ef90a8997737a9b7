export { auditService, auditService as service } from './audit-module.ts';
export { auditGrants, auditMigrations, auditSchema } from './models/tables.ts';
