export { notifierService, notifierService as service } from './notifier-module.ts';
export { notifierGrants, notifierMigrations, notifierSchema } from './delivery-log/tables.ts';
