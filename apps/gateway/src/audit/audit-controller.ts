import { Controller, Get, Query, UseGuards } from '@nestjs/common';
import { httpRoutes, limits, operations, parseRequest, type ReplyOf } from '@postern/contracts';
import { OperationsClient } from '@postern/service';

import { Caller, PlatformGuard } from '../token/caller.ts';
import type { PlatformCaller } from '../token/platform-token.ts';

const questionTimeoutMs = 2 * limits.requestTimeoutMs;

/** `/v1/audit`: questions about the past, answered from the log for what is the platform's own. */
@Controller('v1/audit')
@UseGuards(PlatformGuard)
export class AuditController {
  constructor(private readonly bus: OperationsClient) {}

  @Get('who-did')
  async whoDid(@Caller() caller: PlatformCaller, @Query() query: unknown): Promise<ReplyOf<typeof operations.whoDid>> {
    const request = parseRequest(httpRoutes.whoDid.query, query);
    return await this.bus.call(operations.whoDid, caller, request, { timeoutMs: questionTimeoutMs });
  }

  @Get('who-could')
  async whoCould(
    @Caller() caller: PlatformCaller,
    @Query() query: unknown,
  ): Promise<ReplyOf<typeof operations.whoCould>> {
    const request = parseRequest(httpRoutes.whoCould.query, query);
    return await this.bus.call(operations.whoCould, caller, request, { timeoutMs: questionTimeoutMs });
  }

  @Get('diff')
  async diff(@Caller() caller: PlatformCaller, @Query() query: unknown): Promise<ReplyOf<typeof operations.diff>> {
    const request = parseRequest(httpRoutes.diff.query, query);
    return await this.bus.call(operations.diff, caller, request, { timeoutMs: questionTimeoutMs });
  }
}
