/** The two keyrings that a benchmark's vault can have: how data keys are made in bulk, and what the vault is told. */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  createKeyFile,
  dataKeyBytes,
  localKeyAdministration,
  localKeyService,
  transitKeyAdministration,
  transitLimits,
} from '@postern/keyring';
import { callVault, startVault } from '@postern/servers';

/** @returns `ensureTenantKey`, `makeDataKeys(tenantId, count)`, `environment`, `stop`. */
export async function openKeyring(kind, folder) {
  return kind === 'transit' ? await transitKeyring(folder) : await localKeyring(folder);
}

async function localKeyring(folder) {
  const keyFile = join(folder, 'keyring.json');
  await createKeyFile({ keyFile });
  // Nobody else changes the key file of a benchmark.
  const administration = localKeyAdministration({ keyFile, exclusively: (work) => work() });
  let service;
  return {
    kind: 'local',
    environment: { POSTERN_KEYRING_KEY_FILE: keyFile },
    ensureTenantKey: (tenantId) => administration.ensureTenantKey({ tenantId }),
    makeDataKeys: async (tenantId, count) => {
      service ??= await localKeyService({ keyFile });
      const dataKeys = [];
      while (dataKeys.length < count) dataKeys.push(await service.generateDataKey({ tenantId }));
      return dataKeys;
    },
    stop: async () => await service?.close(),
  };
}

/** The launcher's HashiCorp Vault, by AppRole over TLS. */
async function transitKeyring(folder) {
  const server = await startVault({ mode: 'server', dataDir: join(folder, 'key-server') });
  const { url, caCertPath: caFile } = server;
  const filesOf = (role) => {
    const [roleIdFile, secretIdFile] = ['role-id', 'secret-id'].map((name) => join(folder, `${role}-${name}`));
    writeFileSync(roleIdFile, server.roles[role].roleId, { mode: 0o600 });
    writeFileSync(secretIdFile, server.roles[role].secretId, { mode: 0o600 });
    return { roleIdFile, secretIdFile };
  };
  const { roleIdFile, secretIdFile } = filesOf('service');
  return {
    kind: 'transit',
    environment: {
      POSTERN_KEYRING: 'transit',
      POSTERN_KEYRING_VAULT_URL: url,
      POSTERN_KEYRING_VAULT_CA_FILE: caFile,
      POSTERN_KEYRING_VAULT_ROLE_ID_FILE: roleIdFile,
      POSTERN_KEYRING_VAULT_SECRET_ID_FILE: secretIdFile,
    },
    ensureTenantKey: async (tenantId) => {
      const administration = await transitKeyAdministration({ url, caFile, ...filesOf('provisioner') });
      await administration.ensureTenantKey({ tenantId });
      await administration.close();
    },
    makeDataKeys: (tenantId, count) => wrapMany(server, tenantId, count),
    stop: () => server.stop(),
  };
}

/** As transit's `datakey` gives them, but made here and wrapped many a call: a million calls would take hours. */
async function wrapMany({ url, caCertPath, rootToken }, tenantId, count) {
  const plaintexts = Array.from({ length: count }, () => randomBytes(dataKeyBytes));
  const dataKeys = [];
  while (dataKeys.length < count) {
    const some = plaintexts.slice(dataKeys.length, dataKeys.length + transitLimits.batchItemsMax);
    const { status, body } = await callVault(
      { url, ca: readFileSync(caCertPath, 'utf8') },
      {
        method: 'POST',
        path: `transit/encrypt/${tenantId}`,
        token: rootToken,
        body: { batch_input: some.map((key) => ({ plaintext: key.toString('base64') })) },
      },
    );
    if (status !== 200) throw new Error(`Vault wrapped no data keys: ${status}`);
    const results = body.data.batch_results;
    dataKeys.push(...some.map((plaintext, at) => ({ plaintext, wrapped: results[at].ciphertext })));
  }
  return dataKeys;
}
