import type { ServiceDefinition } from '@postern/service';

import { RevocationConfig } from './revocation-config.ts';
import { RevocationModule } from './revocation.module.ts';

/** `postern serve revocation`. */
export const revocationService: ServiceDefinition = {
  app: 'revocation',
  module: RevocationModule,
  config: RevocationConfig,
};
export { revocationService as service };
export { revocationGrants, revocationMigrations, revocationSchema } from './accounts/tables.ts';
