import { Injectable } from '@nestjs/common';
import { isPosternError, PosternError, type ErrorCode } from '@postern/contracts';
import type { KeyService } from '@postern/keyring';

import { CiphertextAlarm } from '../ciphertext-alarm.ts';
import { beginRetirement } from '../data-key-rows.ts';
import { KeyServiceHolder } from '../data-keys.ts';
import { VaultDatabase } from '../vault-database.ts';
import { vaultLimits } from '../vault-limits.ts';
import {
  dueDataKeys,
  isWrappedSo,
  progressOf,
  replaceWrapping,
  retirementsOf,
  type Due,
  type DueDataKey,
} from './key-rows.ts';
import { RotateDataKey } from './rotate-data-key.ts';

/** One step of a run over a tenant's data keys. */
export interface Step extends Due {
  readonly after: string;
  readonly limit: number;
}

export interface Stepped {
  readonly total: number;
  readonly done: number;
  readonly failed: readonly { readonly ownerId: string; readonly code: ErrorCode }[];
  readonly next: string | null;
}

interface Rewrapped extends DueDataKey {
  readonly to: string;
}

/**
 * Wraps a tenant's data keys by a newer version of its key, step by step.
 *
 * How far it is stands in the rows alone: a run that is killed is resumed by the next one, and two at once do no harm.
 * Before the first step nothing may be wrapped by an older version any more, by this vault or another, so that after the
 * last step nothing is.
 */
@Injectable()
export class Rewrap {
  readonly #keyService: KeyService;

  constructor(
    holder: KeyServiceHolder,
    private readonly database: VaultDatabase,
    private readonly rotation: RotateDataKey,
    private readonly alarm: CiphertextAlarm,
  ) {
    this.#keyService = holder.keyService;
  }

  /** @throws {PosternError} `vault.key_service_unavailable` also while it does not wrap by that version yet. */
  async step(step: Step): Promise<Stepped> {
    const { tenantId } = step;
    await this.#requireVersion(step);
    await this.#requireRetirement(step);
    const limit = Math.min(
      step.limit,
      step.dataKeys ? vaultLimits.rotateBatchOwnersMax : vaultLimits.rewrapBatchKeysMax,
    );
    const page = { after: step.after, limit };
    const due = await this.database.inTenant(tenantId, (em) => dueDataKeys(em, step, page));
    const failed = [
      ...(await this.#rewrap(tenantId, step.dataKeys ? due.filter(({ old }) => !old) : due)),
      ...(step.dataKeys
        ? await this.#rotate(
            tenantId,
            due.filter(({ old }) => old),
          )
        : []),
    ];
    const progress = await this.database.inTenant(tenantId, (em) => progressOf(em, step));
    return { ...progress, failed, next: due.length < limit ? null : (due.at(-1)?.ownerId ?? null) };
  }

  async #requireVersion({ tenantId, version }: Step): Promise<void> {
    const { ready, keyVersions, reason } = await this.#keyService.status({ tenantId });
    if (ready && (keyVersions?.latest ?? 0) >= version) return;
    const why = ready ? `it does not wrap by version ${version} yet` : (reason ?? 'it is not ready');
    throw new PosternError('vault.key_service_unavailable', `The key service cannot rewrap: ${why}.`);
  }

  async #requireRetirement({ tenantId, version }: Step): Promise<void> {
    await this.database.inTenant(tenantId, async (em) => {
      const { refusedBefore } = await retirementsOf(em, tenantId);
      if ((refusedBefore ?? 0) < version) await beginRetirement(em, tenantId, version);
    });
  }

  /** All of one step in one transaction, in the order of their owners, so that two runs do not wait crosswise. */
  async #rewrap(tenantId: string, due: readonly DueDataKey[]): Promise<Stepped['failed']> {
    const failed: { ownerId: string; code: ErrorCode }[] = [];
    const rewrapped: Rewrapped[] = [];
    for (let first = 0; first < due.length; first += vaultLimits.rewrapInFlightMax) {
      const some = due.slice(first, first + vaultLimits.rewrapInFlightMax);
      const wrapping = some.map(async (key) => {
        await this.#orFailed(failed, { tenantId, key }, async () => {
          rewrapped.push({ ...key, to: await this.#keyService.rewrap({ tenantId, wrapped: key.wrapped }) });
        });
      });
      await Promise.all(wrapping);
    }
    const ordered = rewrapped.toSorted((one, other) => (one.ownerId < other.ownerId ? -1 : 1));
    await this.database.inTenant(tenantId, async (em) => {
      for (const { ownerId, wrapped, to } of ordered) {
        await replaceWrapping(em, { tenantId, ownerId }, { from: wrapped, to });
      }
    });
    return failed;
  }

  async #rotate(tenantId: string, due: readonly DueDataKey[]): Promise<Stepped['failed']> {
    const failed: { ownerId: string; code: ErrorCode }[] = [];
    for (const key of due) {
      await this.#orFailed(failed, { tenantId, key }, () =>
        this.rotation.rotate({ tenantId, ownerId: key.ownerId }, key),
      );
    }
    return failed;
  }

  /** What will never go is told and left where it stands; what may go later ends the step. */
  async #orFailed(
    failed: { ownerId: string; code: ErrorCode }[],
    { tenantId, key }: { tenantId: string; key: DueDataKey },
    work: () => Promise<void>,
  ): Promise<void> {
    const { ownerId, wrapped } = key;
    try {
      await work();
    } catch (error) {
      if (!isPosternError(error) || error.row.retry === 'later') throw error;
      const same = await this.database.inTenant(tenantId, (em) => isWrappedSo(em, { tenantId, ownerId }, wrapped));
      // Rewrapped, rotated or shredded by somebody else meanwhile: it did not fail, it was not there any more.
      if (!same) return;
      if (error.code === 'vault.ciphertext_invalid') await this.alarm.raise({ tenantId, ownerId, kind: 'data_key' });
      failed.push({ ownerId, code: error.code });
    }
  }
}
