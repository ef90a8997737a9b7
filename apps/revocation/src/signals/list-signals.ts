import { Injectable } from '@nestjs/common';
import { limits, operations, type ReplyOf, type RequestOf } from '@postern/contracts';
import type { Call } from '@postern/nats';
import { callingApp, Serves } from '@postern/service';

import { WeighedSignals } from './weighed-signals.ts';

/** Answers `signals.list`. */
@Injectable()
export class ListSignals {
  constructor(private readonly weighed: WeighedSignals) {}

  @Serves(operations.listSignals)
  async list(
    request: RequestOf<typeof operations.listSignals>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.listSignals>> {
    callingApp(call, ['administrator']);
    const { tenant_id: tenantId, unmatched = false, before = null, limit = limits.listPageMax } = request;
    const signals = await this.weighed.list({ tenantId, unmatched, beforePosition: before, limit });
    return { signals, next: signals.length < limit ? null : (signals.at(-1)?.position ?? null) };
  }
}
