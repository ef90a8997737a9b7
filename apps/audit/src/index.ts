export { auditService, auditService as service } from './audit-module.ts';
