import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query, UseGuards } from '@nestjs/common';
import {
  httpRoutes,
  limits,
  operations,
  parseRequest,
  type EstablishedGrant,
  type HttpEstablishedGrant,
  type HttpImportRow,
  type ImportRow,
  type Operation,
  type ReplyOf,
} from '@postern/contracts';
import { sealJwe, zero } from '@postern/crypto';
import { OperationsClient, Trust } from '@postern/service';

import { bodyWith } from '../body-with.ts';
import { Caller, PlatformGuard } from '../token/caller.ts';
import type { PlatformCaller } from '../token/platform-token.ts';

/** A refresh waits for its provider; a revocation for every vault. */
const changeTimeoutMs = limits.leaseRefreshWaitMs + limits.requestTimeoutMs;

/** `/v1/connections`: questions and commands about connections; the service that owns each decides. */
@Controller('v1/connections')
@UseGuards(PlatformGuard)
export class ConnectionsController {
  constructor(
    private readonly bus: OperationsClient,
    private readonly trust: Trust,
  ) {}

  @Get()
  async list(
    @Caller() caller: PlatformCaller,
    @Query() query: unknown,
  ): Promise<ReplyOf<typeof operations.listConnections>> {
    return this.bus.call(operations.listConnections, caller, parseRequest(httpRoutes.listConnections.query, query));
  }

  @Post()
  async establish(
    @Caller() caller: PlatformCaller,
    @Body() body: unknown,
  ): Promise<ReplyOf<typeof operations.establish>> {
    const asked = parseRequest(httpRoutes.establish.body, body ?? {});
    const request = { ...asked, grant: this.#sealed(asked.grant, caller) };
    return this.bus.call(operations.establish, caller, request, { timeoutMs: changeTimeoutMs });
  }

  @Post('import')
  @HttpCode(200)
  async import(
    @Caller() caller: PlatformCaller,
    @Body() body: unknown,
  ): Promise<ReplyOf<typeof operations.importConnections>> {
    const { rows, ...asked } = parseRequest(httpRoutes.importConnections.body, body ?? {});
    const request = { ...asked, rows: rows.map((row) => this.#sealedRow(row, caller)) };
    return this.bus.call(operations.importConnections, caller, request, { timeoutMs: limits.importTimeoutMs });
  }

  #sealedRow({ access_token, refresh_token, expires_at, ...facts }: HttpImportRow, caller: PlatformCaller): ImportRow {
    return { ...facts, sealed_tokens: this.#sealedJson({ access_token, refresh_token, expires_at }, caller) };
  }

  /** No secret stands in the clear on the bus. */
  #sealed(grant: HttpEstablishedGrant, caller: PlatformCaller): EstablishedGrant {
    if (grant.type !== 'static') return grant;
    const { secret, ...rest } = grant;
    return { ...rest, sealed_secret: this.#sealedJson(secret, caller) };
  }

  #sealedJson(secret: object, { tenantId }: PlatformCaller): string {
    const plaintext = Buffer.from(JSON.stringify(secret), 'utf8');
    try {
      const recipient = this.trust.recipient('authorization');
      const protectedHeader = { cty: 'application/json', ten: tenantId };
      return sealJwe({ recipient, plaintext, protectedHeader });
    } finally {
      zero(plaintext);
    }
  }

  @Get(':id')
  async show(
    @Caller() caller: PlatformCaller,
    @Param('id') id: string,
  ): Promise<ReplyOf<typeof operations.showConnection>> {
    return this.#ask(operations.showConnection, caller, { connection_id: id });
  }

  @Get(':id/events')
  async events(
    @Caller() caller: PlatformCaller,
    @Param('id') id: string,
    @Query() query: unknown,
  ): Promise<ReplyOf<typeof operations.listEvents>> {
    const page = parseRequest(httpRoutes.listEvents.query, query);
    return this.#ask(operations.listEvents, caller, { ...page, connection_id: id });
  }

  @Get(':id/scopes')
  async scopes(
    @Caller() caller: PlatformCaller,
    @Param('id') id: string,
    @Query() query: unknown,
  ): Promise<ReplyOf<typeof operations.connectionScopes>> {
    const asked = parseRequest(httpRoutes.connectionScopes.query, query);
    return this.#ask(operations.connectionScopes, caller, { ...asked, connection_id: id });
  }

  @Post(':id/rejections')
  @HttpCode(200)
  async rejected(@Caller() caller: PlatformCaller, @Param('id') id: string, @Body() body: unknown): Promise<unknown> {
    return this.#ask(operations.reportRejection, caller, bodyWith(body, { connection_id: id }));
  }

  @Post(':id/refresh')
  @HttpCode(200)
  async refresh(@Caller() caller: PlatformCaller, @Param('id') id: string, @Body() body: unknown): Promise<unknown> {
    return this.#ask(operations.refreshConnection, caller, bodyWith(body, { connection_id: id }));
  }

  @Post(':id/suspend')
  @HttpCode(200)
  async suspend(@Caller() caller: PlatformCaller, @Param('id') id: string, @Body() body: unknown): Promise<unknown> {
    return this.#ask(operations.suspendConnection, caller, bodyWith(body, { connection_id: id }));
  }

  @Post(':id/resume')
  @HttpCode(200)
  async resume(@Caller() caller: PlatformCaller, @Param('id') id: string, @Body() body: unknown): Promise<unknown> {
    return this.#ask(operations.resumeConnection, caller, bodyWith(body, { connection_id: id }));
  }

  @Post(':id/reauthorize')
  async reauthorize(
    @Caller() caller: PlatformCaller,
    @Param('id') id: string,
    @Body() body: unknown,
  ): Promise<unknown> {
    return this.#ask(operations.reauthorize, caller, bodyWith(body, { connection_id: id }));
  }

  @Post(':id/revoke')
  @HttpCode(200)
  async revoke(@Caller() caller: PlatformCaller, @Param('id') id: string, @Body() body: unknown): Promise<unknown> {
    return this.#ask(operations.revokeConnection, caller, bodyWith(body, { connection_id: id }));
  }

  @Delete(':id')
  async delete(@Caller() caller: PlatformCaller, @Param('id') id: string, @Query() query: unknown): Promise<unknown> {
    const { cascade } = parseRequest(httpRoutes.deleteConnection.query, query);
    return this.#ask(operations.deleteConnection, caller, { connection_id: id, cascade: cascade === 'true' });
  }

  #ask<O extends Operation>(operation: O, caller: PlatformCaller, request: unknown): Promise<ReplyOf<O>> {
    const parsed = parseRequest(operation.request, request);
    return this.bus.call(operation, caller, parsed as never, { timeoutMs: changeTimeoutMs });
  }
}
