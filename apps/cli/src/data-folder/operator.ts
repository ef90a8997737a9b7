import { identityNames, PosternError } from '@postern/contracts';
import { createOperator, identityCreds, withCurrentCrossings, type OperatorBundle } from '@postern/nats';
import { takeLock } from '@postern/servers';

import { readJsonFile, readOrCreate, writePrivate } from './files.ts';
import type { DataFolder } from './paths.ts';

/** A user of a service lives this long, and has its successor at half of it; see keepIdentitiesRenewed. */
export const identityTtlMs = 3_600_000;
const lockWaitMsMax = 10_000;

/** The operator, accounts and signing keys of this data folder's nats-server. */
export function readOperator(folder: DataFolder): OperatorBundle {
  return readJsonFile(folder.operatorFile) as OperatorBundle;
}

/**
 * Makes the operator where there is none, signs anew what an older release made, and fresh credentials for every identity.
 *
 * @effect files of mode 0600 in the data folder.
 */
export async function ensureOperator(folder: DataFolder, ttlMs: number): Promise<OperatorBundle> {
  const made = JSON.stringify(await createOperator(), null, 2);
  const stored = JSON.parse(readOrCreate(folder.operatorFile, () => made)) as OperatorBundle;
  const bundle = await withCurrentCrossings(stored);
  if (bundle !== stored) await changeOperator(folder, withCurrentCrossings, async () => undefined);
  await issueIdentities(folder, bundle, ttlMs);
  return bundle;
}

/** Gives every identity a new user; whoever runs takes it from its file before the one before it ends. */
export async function issueIdentities(folder: DataFolder, bundle: OperatorBundle, ttlMs: number): Promise<void> {
  for (const identity of identityNames) {
    writePrivate(folder.credsFile(identity), await identityCreds(bundle, identity, { ttlMs }));
  }
}

/**
 * Changes the operator, one command at a time: what another one revoked meanwhile is not lost, neither in the file nor
 * in the servers, which take the account that they are told last.
 *
 * @param tell tells the servers; the file is written before, so that one which starts later knows it.
 * @throws {PosternError} `service.not_ready` while another command holds it.
 */
export async function changeOperator(
  folder: DataFolder,
  change: (bundle: OperatorBundle) => Promise<OperatorBundle>,
  tell: (changed: OperatorBundle) => Promise<void>,
): Promise<void> {
  const lock = await takeLock({ path: `${folder.operatorFile}.lock`, waitMsMax: lockWaitMsMax });
  if (lock === undefined) throw new PosternError('service.not_ready', 'Another command changes the operator.');
  try {
    const changed = await change(readOperator(folder));
    writePrivate(folder.operatorFile, JSON.stringify(changed, null, 2));
    await tell(changed);
  } finally {
    lock.release();
  }
}
