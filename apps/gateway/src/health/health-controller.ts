import { Controller, Get, Param, Query, UseGuards } from '@nestjs/common';
import {
  httpRoutes,
  operations,
  parseRequest,
  PosternError,
  type ConnectionHealth,
  type ReplyOf,
} from '@postern/contracts';
import { OperationsClient } from '@postern/service';

import { Caller, PlatformGuard } from '../token/caller.ts';
import type { PlatformCaller } from '../token/platform-token.ts';

/** `/v1/health`: how a platform's connections and their providers fare. */
@Controller('v1/health')
@UseGuards(PlatformGuard)
export class PlatformHealthController {
  constructor(private readonly bus: OperationsClient) {}

  @Get()
  async overview(
    @Caller() caller: PlatformCaller,
    @Query() query: unknown,
  ): Promise<ReplyOf<typeof operations.healthOverview>> {
    return this.bus.call(operations.healthOverview, caller, parseRequest(httpRoutes.healthOverview.query, query));
  }

  @Get('connections')
  async connections(
    @Caller() caller: PlatformCaller,
    @Query() query: unknown,
  ): Promise<ReplyOf<typeof operations.connectionsHealth>> {
    return this.bus.call(operations.connectionsHealth, caller, parseRequest(httpRoutes.connectionsHealth.query, query));
  }

  @Get('connections/:id')
  async connection(@Caller() caller: PlatformCaller, @Param('id') id: string): Promise<ConnectionHealth> {
    const request = parseRequest(operations.connectionsHealth.request, { connection_id: id });
    const { connections } = await this.bus.call(operations.connectionsHealth, caller, request);
    if (connections[0] !== undefined) return connections[0];
    throw new PosternError('connection.not_found', 'There is no such connection, or it is not read yet.');
  }
}
