import type { ServiceDefinition } from '@postern/service';

import { VaultConfig } from './vault-config.ts';
import { VaultModule } from './vault.module.ts';

export { vaultMigrations } from './migrations.ts';
export { vaultGrants, vaultSchema } from './tables.ts';
export { VaultConfig } from './vault-config.ts';

/** The vault, as `postern serve vault` starts it. */
export const vaultService: ServiceDefinition = { app: 'vault', module: VaultModule, config: VaultConfig };

export { vaultService as service };
