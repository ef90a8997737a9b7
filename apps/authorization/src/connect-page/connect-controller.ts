import { Body, Controller, Get, Param, Post, Query, Req, Res, UseFilters } from '@nestjs/common';
import { isId, PosternError } from '@postern/contracts';
import { constantTimeEqual, randomToken } from '@postern/crypto';
import { Clock, ServiceConfig } from '@postern/service';
import type { FastifyReply, FastifyRequest } from 'fastify';

import { AuthorizationConfig } from '../authorization-config.ts';
import { authorizationLimits } from '../authorization-limits.ts';
import { detailsParameter } from '../browser/asked-details.ts';
import { pageCookie } from '../browser/browser-state.ts';
import { readCookie, setCookieHeader } from '../browser/cookies.ts';
import { UserCodePages } from '../device/user-code-pages.ts';
import { connectPage } from '../pages/connect-page.ts';
import { PageFilter, sendPage } from '../pages/page-filter.ts';
import { Departure } from './departure.ts';
import { PageSubjects } from './page-subjects.ts';

/** Our one page: `GET` says who connects what to whom, `POST` sends the browser to the provider. */
@Controller('connect')
@UseFilters(PageFilter)
export class ConnectController {
  readonly #config: AuthorizationConfig;
  readonly #clock: Clock;
  readonly #subjects: PageSubjects;
  readonly #departure: Departure;
  readonly #userCodes: UserCodePages;
  readonly #secure: boolean;

  constructor(
    config: AuthorizationConfig,
    service: ServiceConfig,
    clock: Clock,
    pageSubjects: PageSubjects,
    departure: Departure,
    userCodes: UserCodePages,
  ) {
    this.#userCodes = userCodes;
    this.#config = config;
    this.#secure = service.publicUrl.startsWith('https:');
    this.#clock = clock;
    this.#subjects = pageSubjects;
    this.#departure = departure;
  }

  @Get(':id')
  async show(@Param('id') id: string, @Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    if (this.#userCodes.isShown(assertPageId(id), request.headers.cookie)) return await this.#goOn(id, reply);
    const view = await this.#subjects.viewOf(id);
    const formToken = randomToken();
    const maxAgeMs = authorizationLimits.pageTtlMs;
    const header = setCookieHeader({
      cookie: pageCookie,
      key: this.#config.cookieKey,
      value: { id, token: formToken, expiresAtMs: this.#clock.nowMs() + maxAgeMs },
      path: `/connect/${id}`,
      maxAgeMs,
      secure: this.#secure,
    });
    sendPage(reply.header('set-cookie', header), connectPage({ ...view, formToken }));
  }

  @Post(':id')
  async go(
    @Param('id') id: string,
    @Query(detailsParameter) sealedDetails: unknown,
    @Body() form: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    assertPageId(id);
    this.#assertOwnForm(id, form, request);
    // A second click: the first one's answer is shown again.
    if (this.#userCodes.isShown(id, request.headers.cookie)) {
      void reply.status(303).header('location', `/connect/${id}`).send();
      return;
    }
    const started = await this.#subjects.sessionFor(id);
    if (started.session.grant === 'device_code') {
      const { path, setCookie } = await this.#userCodes.begin(started);
      void reply.status(303).header('set-cookie', setCookie).header('location', path).send();
      return;
    }
    const { url, setCookie } = await this.#departure.from(started, sealedDetails);
    void reply.status(302).header('set-cookie', setCookie).header('location', url.href).send();
  }

  async #goOn(sessionId: string, reply: FastifyReply): Promise<void> {
    const progress = await this.#userCodes.progress(sessionId);
    if ('page' in progress) return sendPage(reply.header('cache-control', 'no-store'), progress.page);
    void reply.status(302).header('location', progress.returnTo.href).send();
  }

  /**
   * The button was pressed on our own page, in this browser, for this very id: another site could otherwise send a
   * browser on its way unseen.
   *
   * @source RFC 9700 §4.7
   */
  #assertOwnForm(id: string, form: unknown, request: FastifyRequest): void {
    const cookie = readCookie(pageCookie, request.headers.cookie, this.#config.cookieKey);
    const token: unknown = typeof form === 'object' && form !== null ? Reflect.get(form, 'form_token') : undefined;
    const matches =
      cookie?.id === id &&
      cookie.expiresAtMs > this.#clock.nowMs() &&
      typeof token === 'string' &&
      constantTimeEqual(token, cookie.token);
    if (matches && request.headers['sec-fetch-site'] !== 'cross-site') return;
    throw new PosternError('session.state_mismatch', 'The form was not sent from our page in this browser.');
  }
}

function assertPageId(id: string): string {
  if (isId('session', id) || isId('connection', id)) return id;
  throw new PosternError('session.not_found', 'There is nothing to connect here.');
}
