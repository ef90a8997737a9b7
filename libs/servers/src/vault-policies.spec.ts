import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { vaultProvisionerPolicy, vaultServicePolicy } from './vault-policies.ts';

/** What the launcher grants is proved on a real Vault; what operators copy must be the same. */
test.each([
  ['postern-vault.hcl', vaultServicePolicy],
  ['postern-provisioner.hcl', vaultProvisionerPolicy],
])('deploy/vault/%s grants exactly what the launcher grants', (file, policy) => {
  expect(readFileSync(join(import.meta.dirname, '../../../deploy/vault', file), 'utf8')).toBe(policy);
});
