import { newId } from '@postern/contracts';
import { TestVault } from '@postern/testing';
import { transitKeyAdministration, type KeyAdministration } from './index.ts';

/** A real Vault, and whoever provisions keys in it. */
export interface TransitWorld {
  readonly vault: TestVault;
  readonly administration: KeyAdministration;
  /** Two tenants with a key each. */
  tenants(): Promise<[string, string]>;
  close(): Promise<void>;
}

export async function openTransitWorld(): Promise<TransitWorld> {
  const vault = await TestVault.open();
  const administration = await transitKeyAdministration(vault.access(vault.server.roles.provisioner));
  return {
    vault,
    administration,
    tenants: async () => {
      const ids: [string, string] = [newId('tenant'), newId('tenant')];
      for (const tenantId of ids) await administration.ensureTenantKey({ tenantId });
      return ids;
    },
    close: async () => {
      await administration.close();
      await vault.close();
    },
  };
}
