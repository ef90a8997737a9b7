import { Body, Controller, HttpCode, Param, Post, UseGuards } from '@nestjs/common';
import { limits, operations, parseRequest, type ReplyOf } from '@postern/contracts';
import { OperationsClient } from '@postern/service';

import { bodyWith } from '../body-with.ts';
import { Caller, PlatformGuard } from '../token/caller.ts';
import type { PlatformCaller } from '../token/platform-token.ts';

/** A completion waits for the vault and the log. */
const completeTimeoutMs = limits.providerTimeoutMs;

/** A user code waits for the provider's metadata and for its answer. */
const userCodeTimeoutMs = 2 * limits.providerTimeoutMs + limits.requestTimeoutMs;

/** `/v1/connect/sessions`: begins and completes connect sessions; `authorization` decides. */
@Controller('v1/connect/sessions')
@UseGuards(PlatformGuard)
export class SessionsController {
  constructor(private readonly bus: OperationsClient) {}

  @Post()
  async start(
    @Caller() caller: PlatformCaller,
    @Body() body: unknown,
  ): Promise<ReplyOf<typeof operations.startSession>> {
    const request = parseRequest(operations.startSession.request, body ?? {});
    const timeoutMs = request.grant === 'device_code' ? userCodeTimeoutMs : limits.requestTimeoutMs;
    return this.bus.call(operations.startSession, caller, request, { timeoutMs });
  }

  @Post(':session/complete')
  @HttpCode(200)
  async complete(
    @Caller() caller: PlatformCaller,
    @Param('session') session: string,
    @Body() body: unknown,
  ): Promise<ReplyOf<typeof operations.completeSession>> {
    const request = parseRequest(operations.completeSession.request, bodyWith(body, { session_id: session }));
    return this.bus.call(operations.completeSession, caller, request, { timeoutMs: completeTimeoutMs });
  }
}
