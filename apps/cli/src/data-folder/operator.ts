import { identityNames } from '@postern/contracts';
import { createOperator, identityCreds, type OperatorBundle } from '@postern/nats';

import { readJsonFile, readOrCreate, writePrivate } from './files.ts';
import type { DataFolder } from './paths.ts';

/** Issued anew at each start; the running services keep theirs until then. */
const identityTtlMs = 30 * 86_400_000;

/** The operator, accounts and signing keys of this data folder's nats-server. */
export function readOperator(folder: DataFolder): OperatorBundle {
  return readJsonFile(folder.operatorFile) as OperatorBundle;
}

/**
 * Makes the operator where there is none, and fresh credentials for every identity.
 *
 * @effect files of mode 0600 in the data folder.
 */
export async function ensureOperator(folder: DataFolder): Promise<OperatorBundle> {
  const made = JSON.stringify(await createOperator(), null, 2);
  const bundle = JSON.parse(readOrCreate(folder.operatorFile, () => made)) as OperatorBundle;
  for (const identity of identityNames) {
    writePrivate(folder.credsFile(identity), await identityCreds(bundle, identity, { ttlMs: identityTtlMs }));
  }
  return bundle;
}
