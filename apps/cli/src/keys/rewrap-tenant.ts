import { operations, PosternError, type KeysRewrapped, type KeysStatus } from '@postern/contracts';
import type { KeyAdministration } from '@postern/keyring';

import type { Session } from '../session/session.ts';

/** What a run over a tenant's data keys does. */
export interface RunOptions {
  /** Add a version first; otherwise go on with the latest. */
  readonly rotate: boolean;
  /** Replace the data keys too. */
  readonly dataKeys: boolean;
  /** Let the older versions go when nothing needs them any more. */
  readonly retire: boolean;
  readonly onProgress: (sentence: string) => void;
}

/** How a run over one tenant ended. */
export interface RunResult {
  readonly tenant_id: string;
  readonly version: number;
  readonly total: number;
  readonly done: number;
  readonly failed: readonly { readonly owner_id: string; readonly code: string }[];
  /** Versions before it are gone; null when they were left, or could not go. */
  readonly retired_before: number | null;
  readonly gone_since: string | null;
}

type Asking = Pick<Session, 'call'>;

/**
 * Brings one tenant's data keys under its newest key version, step by step.
 *
 * Killed at any point it is taken up by another run without `rotate`: how far it is stands in the vault's rows.
 */
export async function rewrapTenant(
  session: Asking,
  administration: KeyAdministration,
  { tenantId, ...options }: RunOptions & { readonly tenantId: string },
): Promise<RunResult> {
  const version = options.rotate
    ? await administration.rotate({ tenantId })
    : ((await administration.status({ tenantId })).keyVersions?.latest ?? 0);
  if (version === 0) throw new PosternError('vault.key_service_unavailable', `${tenantId} has no key yet.`);
  const run = { tenantId, version, onProgress: options.onProgress };
  const passes = [await pass(session, { ...run, dataKeys: false })];
  if (options.dataKeys) passes.push(await pass(session, { ...run, dataKeys: true }));
  const failed = passes.flatMap((one) => one.failed);
  const { total = 0, done = 0 } = passes.at(-1) ?? {};
  const left = passes.some((one) => one.done < one.total) || failed.length > 0;
  const result = { tenant_id: tenantId, version, total, done, failed, retired_before: null, gone_since: null };
  if (!options.retire || left) return result;
  await administration.retireBefore({ tenantId, version });
  return { ...result, retired_before: version, gone_since: await tellGone(session, tenantId, version) };
}

/** Tells the vault that versions are gone, so that it knows which shreddings are complete; repeats are harmless. */
export async function tellGone(session: Asking, tenantId: string, beforeVersion: number): Promise<string> {
  const request = { tenant_id: tenantId, before_version: beforeVersion };
  return (await session.call(operations.keysRetired, tenantId, request)).gone_since;
}

/**
 * What the vault says of a tenant's keys, with every shredding on its page when all are asked for. A retirement that
 * was cut short before the vault was told is told now.
 */
export async function statusOf(
  session: Asking,
  administration: KeyAdministration,
  { tenantId, all }: { readonly tenantId: string; readonly all: boolean },
): Promise<KeysStatus> {
  const ask = (after?: string) =>
    session.call(operations.keysStatus, tenantId, { tenant_id: tenantId, ...(after !== undefined && { after }) });
  let status = await ask();
  const oldest = (await administration.status({ tenantId })).keyVersions?.oldest ?? 1;
  if (oldest > (status.gone_before ?? 1)) {
    await tellGone(session, tenantId, oldest);
    status = await ask();
  }
  const page = [...status.shreddings.page];
  let { next } = status.shreddings;
  while (all && next !== null) {
    const more: KeysStatus['shreddings'] = (await ask(next)).shreddings;
    page.push(...more.page);
    next = more.next;
  }
  return { ...status, shreddings: { ...status.shreddings, page, next } };
}

interface Pass {
  readonly tenantId: string;
  readonly version: number;
  readonly dataKeys: boolean;
  readonly onProgress: (sentence: string) => void;
}

async function pass(session: Asking, { tenantId, version, dataKeys, onProgress }: Pass) {
  const failed: KeysRewrapped['failed'] = [];
  const words = dataKeys ? 'data keys replaced' : 'data keys rewrapped';
  let step: KeysRewrapped;
  let after: string | null = null;
  do {
    step = await session.call(operations.keysRewrap, tenantId, {
      tenant_id: tenantId,
      version,
      data_keys: dataKeys,
      ...(after !== null && { after }),
    });
    failed.push(...step.failed);
    onProgress(`${tenantId}: ${step.done} of ${step.total} ${words}`);
    after = step.next;
  } while (after !== null);
  return { total: step.total, done: step.done, failed };
}
