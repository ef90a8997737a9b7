export { RefreshConfig } from './refresh-config.ts';
export { refreshService, refreshService as service } from './refresh-module.ts';
