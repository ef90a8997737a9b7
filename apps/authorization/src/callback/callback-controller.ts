import { Controller, Get, Param, Req, Res, UseFilters } from '@nestjs/common';
import { isId, PosternError } from '@postern/contracts';
import { Clock } from '@postern/service';
import type { FastifyReply, FastifyRequest } from 'fastify';

import { AuthorizationConfig } from '../authorization-config.ts';
import { callbackPath, sentCookie, type SentState } from '../browser/browser-state.ts';
import { clearCookieHeader, readCookie } from '../browser/cookies.ts';
import { PageFilter } from '../pages/page-filter.ts';
import { Arrival } from './arrival.ts';

/** The redirect URI of every client registration. @source RFC 6749 §3.1.2 */
@Controller('oauth/callback')
@UseFilters(PageFilter)
export class CallbackController {
  readonly #config: AuthorizationConfig;
  readonly #clock: Clock;
  readonly #arrival: Arrival;

  constructor(config: AuthorizationConfig, clock: Clock, arrival: Arrival) {
    this.#config = config;
    this.#clock = clock;
    this.#arrival = arrival;
  }

  @Get(':registration')
  async arrive(
    @Param('registration') registrationId: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if (!isId('registration', registrationId))
      throw new PosternError('request.not_found', 'There is no such callback.');
    const parameters = new URL(request.url, 'http://callback.invalid').searchParams;
    const sent = this.#sentWith(registrationId, request.headers.cookie);
    const returnTo = await this.#arrival.of(sent, parameters);
    void reply
      .status(302)
      .header('set-cookie', clearCookieHeader(sentCookie, callbackPath(registrationId)))
      .header('location', returnTo.href)
      .send();
  }

  /**
   * What this very browser was sent away with: a browser that was never here ends at this point, and nothing was
   * looked up. The `state` in it is compared where the answer is read, before anything is written.
   *
   * @source RFC 6749 §10.12, RFC 9700 §4.7
   */
  #sentWith(registrationId: string, cookies: string | undefined): SentState {
    const sent = readCookie(sentCookie, cookies, this.#config.cookieKey);
    if (sent?.registrationId !== registrationId) {
      throw new PosternError('session.state_mismatch', 'The answer is not for a request of this browser.');
    }
    if (sent.expiresAtMs <= this.#clock.nowMs()) {
      throw new PosternError('session.expired', 'The connect session has expired.');
    }
    return sent;
  }
}
