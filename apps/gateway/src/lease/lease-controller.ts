import { Body, Controller, HttpCode, Param, Post, UseGuards } from '@nestjs/common';
import {
  HttpLeaseRequest,
  limits,
  operations,
  parseRequest,
  PosternError,
  type HttpLeaseReply,
} from '@postern/contracts';
import { Clock, OperationsClient, ServiceKeys, Trust } from '@postern/service';
import type { z } from 'zod';

import { Caller, PlatformGuard } from '../token/caller.ts';
import type { PlatformCaller } from '../token/platform-token.ts';

/** A lease that meets an expired token waits for its refresh, then for its record. */
const leaseTimeoutMs = limits.leaseRefreshWaitMs + limits.leaseRecordWaitMs + limits.requestTimeoutMs;

/** `POST /v1/connections/{id}/token`: a lease over HTTP. The token passes through the gateway and stays nowhere. */
@Controller('v1/connections')
@UseGuards(PlatformGuard)
export class LeaseController {
  constructor(
    private readonly bus: OperationsClient,
    private readonly keys: ServiceKeys,
    private readonly trust: Trust,
    private readonly clock: Clock,
  ) {}

  @Post(':id/token')
  @HttpCode(200)
  async lease(
    @Caller() caller: PlatformCaller,
    @Param('id') id: string,
    @Body() body: unknown,
  ): Promise<z.infer<typeof HttpLeaseReply>> {
    const asked = parseRequest(HttpLeaseRequest, body ?? {});
    const request = parseRequest(operations.leaseToken.request, {
      ...asked,
      connection_id: id,
      recipient_key: this.trust.recipient('gateway'),
    });
    const lease = await this.bus.call(operations.leaseToken, caller, request, { timeoutMs: leaseTimeoutMs });
    return {
      lease_id: lease.lease_id,
      credential_version: lease.credential_version,
      access_token: this.#open(lease.sealed_token, lease.lease_id),
      token_type: lease.token_type,
      ...(lease.sent_as !== undefined && { sent_as: lease.sent_as }),
      expires_in: lease.expires_at === null ? null : this.#secondsUntil(lease.expires_at),
      scope: lease.scope.join(' '),
      freshness: lease.freshness,
      ...(lease.receipt !== undefined && { receipt: lease.receipt }),
    };
  }

  /** The seal names its lease: an answer to another request does not pass for this one. */
  #open(sealed: string, leaseId: string): string {
    const { plaintext, protectedHeader } = this.keys.opener.open(sealed);
    if (protectedHeader['lse'] !== leaseId)
      throw new PosternError('service.internal', 'The seal belongs to another lease.');
    return Buffer.from(plaintext).toString('utf8');
  }

  #secondsUntil(time: string): number {
    return Math.max(0, Math.floor((Date.parse(time) - this.clock.nowMs()) / 1_000));
  }
}
