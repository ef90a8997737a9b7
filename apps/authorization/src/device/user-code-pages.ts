import { Injectable } from '@nestjs/common';
import type { Connection, OpenSession } from '@postern/domain';
import { Clock, ServiceConfig } from '@postern/service';

import { AuthorizationConfig } from '../authorization-config.ts';
import { authorizationLimits } from '../authorization-limits.ts';
import { userCodeCookie } from '../browser/browser-state.ts';
import { sealCompletionCode } from '../browser/completion-code.ts';
import { readCookie, setCookieHeader } from '../browser/cookies.ts';
import { backTo } from '../callback/back-to.ts';
import type { StartedSession } from '../connect-page/page-subjects.ts';
import { Directory } from '../directory/directory.ts';
import { userCodePage, type UserCodePage } from '../pages/user-code-page.ts';
import { Connections } from '../sessions/connections.ts';
import { SessionIndex, type SessionPlace } from '../sessions/session-index.ts';
import { nothingHere } from '../start-session/reauthorization.ts';
import { BeginDevice } from './begin-device.ts';
import { DeviceCodes } from './device-codes.ts';

/** What a browser that is shown a user code gets next. */
export type Progress = { readonly page: string } | { readonly returnTo: URL };

/**
 * The page with the user code, for the one browser whose button was pressed: it alone is shown the code, and it alone brings
 * the completion code back. So a `connect_url` that was mailed to a victim yields its sender nothing here either.
 */
@Injectable()
export class UserCodePages {
  readonly #config: AuthorizationConfig;
  readonly #secure: boolean;
  readonly #clock: Clock;
  readonly #index: SessionIndex;
  readonly #connections: Connections;
  readonly #directory: Directory;
  readonly #codes: DeviceCodes;
  readonly #begin: BeginDevice;

  constructor(
    config: AuthorizationConfig,
    service: ServiceConfig,
    clock: Clock,
    index: SessionIndex,
    connections: Connections,
    directory: Directory,
    codes: DeviceCodes,
    begin: BeginDevice,
  ) {
    this.#config = config;
    this.#secure = service.publicUrl.startsWith('https:');
    this.#clock = clock;
    this.#index = index;
    this.#connections = connections;
    this.#directory = directory;
    this.#codes = codes;
    this.#begin = begin;
  }

  /** @returns where the browser goes, and by what it is known there. @throws {PosternError} as `BeginDevice.begin` */
  async begin({ connection, session }: StartedSession): Promise<{ path: string; setCookie: string }> {
    await this.#begin.begin({ connection, session });
    const { sessionId, expiresAtMs } = session;
    const path = `/connect/${sessionId}`;
    // For a while longer than the session: how it ended is told, too.
    const endsAtMs = expiresAtMs + authorizationLimits.sessionRememberedMs / 2;
    const setCookie = setCookieHeader({
      cookie: userCodeCookie,
      key: this.#config.cookieKey,
      value: { sessionId, expiresAtMs: endsAtMs },
      path,
      maxAgeMs: endsAtMs - this.#clock.nowMs(),
      secure: this.#secure,
    });
    return { path, setCookie };
  }

  /** Is this the browser that is shown the code of this session? */
  isShown(sessionId: string, cookies: string | undefined): boolean {
    const shown = readCookie(userCodeCookie, cookies, this.#config.cookieKey);
    return shown?.sessionId === sessionId && shown.expiresAtMs > this.#clock.nowMs();
  }

  /** @throws {PosternError} `session.not_found`, `platform.*`, `registration.*`, `vault.*` */
  async progress(sessionId: string): Promise<Progress> {
    const place = await this.#index.find(sessionId);
    if (place === undefined) throw nothingHere();
    const { tenantId, connectionId } = place;
    const { state } = await this.#connections.load({ tenantId, id: connectionId }, { fromLeader: true });
    const session = state.session?.sessionId === sessionId ? state.session : null;
    if (session?.granted !== undefined) return { returnTo: this.#back(state, session, session.granted) };
    const isOver = session === null || session.expiresAtMs <= this.#clock.nowMs();
    if (isOver) return { returnTo: ended(place, state, sessionId) };
    return { page: userCodePage(await this.#shown(state, session)) };
  }

  async #shown({ tenantId, connectionId, platformId }: Connection, session: OpenSession): Promise<UserCodePage> {
    const { sessionId, registrationId } = session;
    const platform = await this.#directory.activePlatform({ tenantId, platformId });
    const registration = await this.#directory.activeRegistration({ tenantId, registrationId });
    const { userCode, verificationUri } = await this.#codes.of({ tenantId, connectionId, sessionId });
    return {
      platformName: platform.name,
      providerName: registration.displayName,
      ...{ userCode, verificationUri },
      refreshS: authorizationLimits.userCodePageRefreshS,
    };
  }

  #back(
    { tenantId, connectionId, platformId }: Connection,
    { sessionId, returnUrl, expiresAtMs }: OpenSession,
    granted: NonNullable<OpenSession['granted']>,
  ): URL {
    const code = sealCompletionCode(this.#config.cookieKey, {
      ...{ sessionId, tenantId, connectionId, platformId },
      ...granted,
      expiresAtMs,
    });
    return backTo(returnUrl, { session_id: sessionId, code });
  }
}

/** The platform knows what to tell its user, and is told how the session ended if it asks to complete it. */
function ended({ returnUrl }: SessionPlace, { pastSessions }: Connection, sessionId: string): URL {
  const end = pastSessions.find((past) => past.sessionId === sessionId)?.ended;
  const error = end === 'completed' || end === 'superseded' ? 'session_over' : 'access_denied';
  return backTo(returnUrl, { session_id: sessionId, error });
}
