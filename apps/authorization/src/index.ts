import type { ServiceDefinition } from '@postern/service';

import { AuthorizationConfig } from './authorization-config.ts';
import { AuthorizationModule } from './authorization-module.ts';

/** What `postern serve authorization` starts. */
export const authorizationService: ServiceDefinition = {
  app: 'authorization',
  module: AuthorizationModule,
  config: AuthorizationConfig,
};

export { authorizationService as service };
