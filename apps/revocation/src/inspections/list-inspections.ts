import { Injectable } from '@nestjs/common';
import { limits, operations, type ReplyOf, type RequestOf } from '@postern/contracts';
import type { Call } from '@postern/nats';
import { callingApp, Serves } from '@postern/service';

import { InspectionRows } from './inspection-rows.ts';

/** Answers `inspections.list`. */
@Injectable()
export class ListInspections {
  constructor(private readonly rows: InspectionRows) {}

  @Serves(operations.listInspections)
  async list(
    request: RequestOf<typeof operations.listInspections>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.listInspections>> {
    callingApp(call, ['administrator']);
    const { tenant_id: tenantId, before = null, limit = limits.listPageMax } = request;
    const inspections = await this.rows.list(tenantId, { before, limit });
    return { inspections, next: inspections.length < limit ? null : (inspections.at(-1)?.asked_at ?? null) };
  }
}
