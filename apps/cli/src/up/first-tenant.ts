import { existsSync } from 'node:fs';
import { z } from 'zod';

import { newId } from '@postern/contracts';
import { administratorEvolver, createAdministrator, createTenant, tenantEvolver } from '@postern/domain';

import { readJsonFile, writePrivate } from '../data-folder/files.ts';
import { ensureTenantKey } from '../data-folder/key-administration.ts';
import type { DataFolder } from '../data-folder/paths.ts';
import { openSession } from '../session/session.ts';

/** Where the first administrator's credentials stand (mode 0600). */
const AdministratorFile = z.object({
  tenant_id: z.string(),
  administrator_id: z.string(),
  nats_creds_file: z.string(),
});

/** Says which tenant and administrator are the first ones of this data folder. */
export function writeAdministratorFile(
  folder: DataFolder,
  { tenantId, administratorId }: { readonly tenantId: string; readonly administratorId: string },
): void {
  const content: z.infer<typeof AdministratorFile> = {
    tenant_id: tenantId,
    administrator_id: administratorId,
    nats_creds_file: folder.credsFile('administrator'),
  };
  writePrivate(folder.administratorFile, `${JSON.stringify(content, null, 2)}\n`);
}

/**
 * Creates the first tenant with its key and its first administrator, unless an earlier start did.
 *
 * The ids are written before they are used: a start that was killed in between goes on with the same ones.
 */
export async function ensureFirstTenant(
  folder: DataFolder,
  { keyServerUrl, ...place }: { natsUrl: string; publicUrl: string; keyServerUrl: string | undefined },
): Promise<string> {
  if (!existsSync(folder.administratorFile)) {
    writeAdministratorFile(folder, { tenantId: newId('tenant'), administratorId: newId('administrator') });
  }
  const { tenant_id: tenantId, administrator_id: administratorId } = AdministratorFile.parse(
    readJsonFile(folder.administratorFile),
  );
  await ensureTenantKey(folder, tenantId, keyServerUrl);
  const session = await openSession(folder, { ...place, tenantId });
  try {
    const { actor, correlationId } = session;
    const tenants = session.repository(tenantEvolver);
    await tenants.execute(
      { tenantId, id: tenantId },
      (state, { loaded }) => (loaded.revision > 0 ? [] : createTenant({ name: 'default' }, state)),
      { actor, correlationId },
    );
    const administrators = session.repository(administratorEvolver);
    await administrators.execute(
      { tenantId, id: administratorId },
      (state, { loaded }) => (loaded.revision > 0 ? [] : createAdministrator({ label: 'first administrator' }, state)),
      { actor, correlationId },
    );
    return tenantId;
  } finally {
    await session.close();
  }
}
