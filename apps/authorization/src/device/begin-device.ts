import { Injectable } from '@nestjs/common';
import { isPosternError, PosternError, type DeviceCode } from '@postern/contracts';
import { denyAuthorization, startDeviceAuthorization, type Connection, type OpenSession } from '@postern/domain';
import { mayPass, type Refusal } from '@postern/provider-client';
import { Clock, commitOrigin, Logger } from '@postern/service';

import { Directory } from '../directory/directory.ts';
import { ProviderClients } from '../providers/provider-clients.ts';
import { Connections } from '../sessions/connections.ts';
import { DeviceCodes, type SessionRef } from './device-codes.ts';
import { DevicePoller } from './device-poller.ts';

/** What an end user is shown. */
export type ShownCode = Pick<DeviceCode, 'userCode' | 'verificationUri' | 'expiresAtMs'>;

interface Begun {
  readonly connection: Pick<Connection, 'tenantId' | 'connectionId'>;
  readonly session: OpenSession;
}

/** Has the provider give a user code for a session that has begun. @source RFC 8628 §3.1 */
@Injectable()
export class BeginDevice {
  readonly #connections: Connections;
  readonly #directory: Directory;
  readonly #providers: ProviderClients;
  readonly #codes: DeviceCodes;
  readonly #poller: DevicePoller;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(
    connections: Connections,
    directory: Directory,
    providers: ProviderClients,
    codes: DeviceCodes,
    poller: DevicePoller,
    clock: Clock,
    logger: Logger,
  ) {
    this.#connections = connections;
    this.#directory = directory;
    this.#providers = providers;
    this.#codes = codes;
    this.#poller = poller;
    this.#clock = clock;
    this.#logger = logger;
  }

  /**
   * The code is with the vault before the log says that there is one, and the log says so before anybody is shown it.
   *
   * @effect the provider is asked from then on, until the end user has decided or the time is over.
   * @throws {PosternError} `session.already_used` when somebody was shown one, `provider.*`, `registration.*`, `vault.*`
   */
  async begin({ connection, session }: Begun): Promise<ShownCode> {
    const { tenantId, connectionId } = connection;
    const { sessionId, registrationId, requestedScopes: scopes, providerVersion: version } = session;
    const ref = { tenantId, connectionId, sessionId };
    const registration = await this.#directory.activeRegistration({ tenantId, registrationId });
    const client = await this.#providers.withCredentials(registration, { version, connectionId });
    await client.requireFeatures();
    const answer = await client.authorizeDevice({ scopes });
    if (answer.kind !== 'device_authorized') throw await this.#refused(ref, answer);
    const { deviceCode, intervalS } = answer;
    await this.#codes.store(ref, deviceCode);
    const asking = this.#poller.claim(intervalS);
    await this.#connections.execute(
      { tenantId, id: connectionId },
      (state, { nowMs }) =>
        startDeviceAuthorization({ sessionId, ...asking, deviceCodeExpiresAtMs: deviceCode.expiresAtMs, nowMs }, state),
      { actor: { type: 'end_user' }, fromLeader: true, ...commitOrigin() },
    );
    // Two who began at once stored one code: whoever goes on shows that one.
    return await this.#codes.of(ref);
  }

  async #refused({ tenantId, connectionId, sessionId }: SessionRef, refusal: Refusal): Promise<PosternError> {
    const { error, errorDescription, httpStatus, kind } = refusal;
    this.#logger.warn('a provider gave no user code', { sessionId, kind, error, httpStatus });
    const message = `The provider gave no user code: ${error}.`;
    // What may pass leaves the session open: the button can be pressed again.
    if (mayPass(refusal)) return new PosternError('provider.unreachable', message);
    try {
      await this.#connections.execute(
        { tenantId, id: connectionId },
        (state) =>
          denyAuthorization(
            { sessionId, stage: 'authorization', error, errorDescription, nowMs: this.#clock.nowMs() },
            state,
          ),
        { actor: { type: 'end_user' }, ...commitOrigin() },
      );
    } catch (thrown) {
      if (!isPosternError(thrown) || !thrown.code.startsWith('session.')) throw thrown;
    }
    return new PosternError('provider.client_rejected', message);
  }
}
