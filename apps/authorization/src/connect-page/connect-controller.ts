import { Body, Controller, Get, Param, Post, Req, Res, UseFilters } from '@nestjs/common';
import { isId, PosternError } from '@postern/contracts';
import { constantTimeEqual, randomToken } from '@postern/crypto';
import { Clock, ServiceConfig } from '@postern/service';
import type { FastifyReply, FastifyRequest } from 'fastify';

import { AuthorizationConfig } from '../authorization-config.ts';
import { authorizationLimits } from '../authorization-limits.ts';
import { pageCookie } from '../browser/browser-state.ts';
import { readCookie, setCookieHeader } from '../browser/cookies.ts';
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
  readonly #secure: boolean;

  constructor(
    config: AuthorizationConfig,
    service: ServiceConfig,
    clock: Clock,
    pageSubjects: PageSubjects,
    departure: Departure,
  ) {
    this.#config = config;
    this.#secure = service.publicUrl.startsWith('https:');
    this.#clock = clock;
    this.#subjects = pageSubjects;
    this.#departure = departure;
  }

  @Get(':id')
  async show(@Param('id') id: string, @Res() reply: FastifyReply): Promise<void> {
    const view = await this.#subjects.viewOf(assertPageId(id));
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
    @Body() form: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    assertPageId(id);
    this.#assertOwnForm(id, form, request);
    const { url, setCookie } = await this.#departure.from(await this.#subjects.sessionFor(id));
    void reply.status(302).header('set-cookie', setCookie).header('location', url.href).send();
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
