import { Injectable } from '@nestjs/common';
import { limits, operations, PosternError, timestampOf, type ReplyOf, type RequestOf } from '@postern/contracts';
import type { KeyService } from '@postern/keyring';
import type { Call } from '@postern/nats';
import { callingApp, Serves } from '@postern/service';

import { KeyServiceHolder } from '../data-keys.ts';
import { VaultDatabase } from '../vault-database.ts';
import { countByVersion, recordGone, retirementsOf, shreddingsOf, shreddingSummary } from './key-rows.ts';
import { Rewrap } from './rewrap.ts';

/** What an administrator asks about a tenant's keys, and has done to what they wrap. The keys themselves are not here. */
@Injectable()
export class KeyOperations {
  readonly #keyService: KeyService;

  constructor(
    holder: KeyServiceHolder,
    private readonly database: VaultDatabase,
    private readonly rewrapping: Rewrap,
  ) {
    this.#keyService = holder.keyService;
  }

  @Serves(operations.keysStatus)
  async status(
    request: RequestOf<typeof operations.keysStatus>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.keysStatus>> {
    callingApp(call, ['administrator']);
    const { tenant_id: tenantId, after = '', limit = limits.listPageMax } = request;
    const { kind, ready, keyVersions, reason } = await this.#keyService.status({ tenantId });
    return await this.database.inTenant(tenantId, async (em) => {
      const wrapped = await countByVersion(em, tenantId, 'wrapped_version');
      const { refusedBefore, goneBefore } = await retirementsOf(em, tenantId);
      const summary = await shreddingSummary(em, tenantId);
      const page = await shreddingsOf(em, tenantId, { after, limit });
      return {
        key_service: {
          kind,
          ready,
          oldest: keyVersions?.oldest ?? null,
          latest: keyVersions?.latest ?? null,
          reason: reason ?? null,
        },
        data_keys: {
          total: wrapped.reduce((sum, { count }) => sum + count, 0),
          wrapped_by: wrapped,
          made_under: await countByVersion(em, tenantId, 'made_version'),
        },
        refused_before: refusedBefore,
        gone_before: goneBefore,
        shreddings: {
          complete: summary.complete,
          pending: summary.pending,
          complete_since: wireTime(summary.completeSinceMs),
          pending_until_before: summary.pendingUntilBefore,
          page: page.map(({ ownerId, shreddedAtMs, keyVersion, completeSinceMs }) => ({
            owner_id: ownerId,
            shredded_at: wireTime(shreddedAtMs),
            key_version: keyVersion,
            complete_since: wireTime(completeSinceMs),
          })),
          next: page.length < limit ? null : (page.at(-1)?.ownerId ?? null),
        },
      };
    });
  }

  @Serves(operations.keysRewrap)
  async rewrap(
    request: RequestOf<typeof operations.keysRewrap>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.keysRewrap>> {
    callingApp(call, ['administrator']);
    const {
      tenant_id: tenantId,
      version,
      data_keys: dataKeys = false,
      after = '',
      limit = limits.listPageMax,
    } = request;
    const { failed, ...stepped } = await this.rewrapping.step({ tenantId, version, dataKeys, after, limit });
    return { ...stepped, failed: failed.map(({ ownerId, code }) => ({ owner_id: ownerId, code })) };
  }

  /** The administrator says that the versions are gone; what the vault can see of it must agree. */
  @Serves(operations.keysRetired)
  async retired(
    request: RequestOf<typeof operations.keysRetired>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.keysRetired>> {
    callingApp(call, ['administrator']);
    const { tenant_id: tenantId, before_version: beforeVersion } = request;
    const { ready, keyVersions } = await this.#keyService.status({ tenantId });
    if (!ready || keyVersions === undefined) {
      throw new PosternError('vault.key_service_unavailable', 'The key service does not say which versions it has.');
    }
    if (keyVersions.oldest < beforeVersion) {
      throw new PosternError('vault.key_version_in_use', `The key service still opens version ${keyVersions.oldest}.`);
    }
    const goneAtMs = await this.database.inTenant(tenantId, (em) => recordGone(em, tenantId, beforeVersion));
    return { before_version: beforeVersion, gone_since: timestampOf(goneAtMs) };
  }
}

function wireTime(atMs: number | null): string | null {
  return atMs === null ? null : timestampOf(atMs);
}
