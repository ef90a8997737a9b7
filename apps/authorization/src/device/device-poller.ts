import { setTimeout as delay } from 'node:timers/promises';

import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { isPosternError } from '@postern/contracts';
import { randomToken, Secret } from '@postern/crypto';
import {
  denyAuthorization,
  grantDeviceAuthorization,
  isAnotherAccount,
  pollingEndsMs,
  startDevicePolling,
  type DevicePolling,
  type OpenSession,
} from '@postern/domain';
import { nextIntervalS, type Exchanged, type ProviderClient, type Rejected } from '@postern/provider-client';
import { Clock, commitOrigin, Logger } from '@postern/service';

import { authorizationLimits } from '../authorization-limits.ts';
import { PendingTokens } from '../callback/pending-tokens.ts';
import { boundBy } from '../complete-session/completion.ts';
import { Digests } from '../digests.ts';
import { Directory } from '../directory/directory.ts';
import { ProviderClients } from '../providers/provider-clients.ts';
import { Connections } from '../sessions/connections.ts';
import { SessionIndex, type DeviceStep } from '../sessions/session-index.ts';
import { DeviceCodes, type SessionRef } from './device-codes.ts';

type Refused = Pick<Rejected, 'error' | 'errorDescription'>;
const expired: Refused = { error: 'expired_token', errorDescription: null };

/** A session that this process asks about, or will look at when another's time is over. */
interface Watched {
  asks: boolean;
  readonly stop: AbortController;
  /** Never rejects. */
  over: Promise<void>;
}

/** One session, while it is this process that asks. */
interface Asking {
  readonly ref: SessionRef;
  readonly session: OpenSession;
  readonly client: ProviderClient;
  readonly deviceCode: Secret;
  device: DevicePolling;
}

/**
 * Asks providers whether the end users of open sessions have authorized on their devices.
 *
 * Who asks is said in the log, with a time (`DevicePollingStarted`): one process at a time, and another one when that time is
 * over and nothing was heard. What is needed to go on stands in the log and in the vault, so that it does not matter which.
 *
 * @source RFC 8628 §3.4, §3.5
 */
@Injectable()
export class DevicePoller implements OnApplicationShutdown {
  readonly #pollerId = randomToken();
  #stopping = false;
  readonly #watched = new Map<string, Watched>();
  readonly #connections: Connections;
  readonly #directory: Directory;
  readonly #providers: ProviderClients;
  readonly #codes: DeviceCodes;
  readonly #pending: PendingTokens;
  readonly #digests: Digests;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(
    index: SessionIndex,
    connections: Connections,
    directory: Directory,
    providers: ProviderClients,
    codes: DeviceCodes,
    pending: PendingTokens,
    digests: Digests,
    clock: Clock,
    logger: Logger,
  ) {
    this.#connections = connections;
    this.#directory = directory;
    this.#providers = providers;
    this.#codes = codes;
    this.#pending = pending;
    this.#digests = digests;
    this.#clock = clock;
    this.#logger = logger;
    index.onDeviceStep((step) => this.#hear(step));
  }

  /** What is said of this process when it is the one that asks. */
  claim(intervalS: number): Omit<DevicePolling, 'expiresAtMs'> {
    const pollingUntilMs = this.#clock.nowMs() + authorizationLimits.pollingMs + intervalS * 1_000;
    return { pollerId: this.#pollerId, pollingUntilMs, intervalS };
  }

  /** A question that is out is waited for: its answer may be the only copy of the tokens. */
  async onApplicationShutdown(): Promise<void> {
    this.#stopping = true;
    const watched = [...this.#watched.values()];
    for (const { stop } of watched) stop.abort();
    await Promise.all(watched.map(({ over }) => over));
  }

  #hear(step: DeviceStep): void {
    const watched = this.#watched.get(step.sessionId);
    const isOurs = step.pollerId === this.#pollerId;
    if (this.#stopping || (isOurs && watched?.asks === true)) return;
    const inMs = isOurs ? 0 : pollingEndsMs({ ...step, intervalS: 0, expiresAtMs: 0 }) - this.#clock.nowMs();
    this.#watch(step, { asks: isOurs, inMs });
  }

  /** Whatever was going on about the session ends; in so long it is looked at. */
  #watch(ref: SessionRef, { asks, inMs }: { readonly asks: boolean; readonly inMs: number }): void {
    const { sessionId } = ref;
    this.#watched.get(sessionId)?.stop.abort();
    const watched: Watched = { asks, stop: new AbortController(), over: Promise.resolve() };
    this.#watched.set(sessionId, watched);
    watched.over = this.#look(ref, inMs, watched).finally(() => {
      if (this.#watched.get(sessionId) === watched) this.#watched.delete(sessionId);
    });
  }

  async #look(ref: SessionRef, inMs: number, watched: Watched): Promise<void> {
    const { signal: stop } = watched.stop;
    try {
      await delay(Math.max(0, inMs), undefined, { signal: stop });
      // What is said of it from now on by this process is not news.
      watched.asks = true;
      const asking = await this.#begin(ref);
      if (asking !== undefined) await this.#ask(asking, stop);
    } catch (error) {
      if (stop.aborted || (isPosternError(error) && error.code.startsWith('session.'))) return;
      this.#logger.warn('a device code is not asked about for a while', { sessionId: ref.sessionId, err: error });
      // Another process may have taken over by then, or this one does again.
      this.#watch(ref, { asks: false, inMs: authorizationLimits.pollingMs });
    }
  }

  /** @returns undefined where there is nothing left to ask, or another asks. */
  async #begin(ref: SessionRef): Promise<Asking | undefined> {
    const claimed = await this.#claimed(ref, 0);
    if (claimed === undefined) return undefined;
    const { session, device } = claimed;
    const { tenantId, connectionId } = ref;
    const { registrationId, providerVersion: version } = session;
    const registration = await this.#directory.activeRegistration({ tenantId, registrationId });
    const client = await this.#providers.withCredentials(registration, { version, connectionId });
    const { deviceCode } = await this.#codes.of(ref);
    return { ref, session, device, client, deviceCode: Secret.from(deviceCode) };
  }

  async #ask(asking: Asking, stop: AbortSignal): Promise<void> {
    const { session, client, deviceCode, ref } = asking;
    for (;;) {
      const { intervalS, expiresAtMs } = asking.device;
      await delay(intervalS * 1_000, undefined, { signal: stop });
      if (this.#clock.nowMs() >= Math.min(expiresAtMs, session.expiresAtMs)) return await this.#refuse(ref, expired);
      if (!(await this.#stillOurs(asking, intervalS))) return;
      const answer = await client.askForDevice({ deviceCode, requestedScopes: session.requestedScopes });
      if (answer.kind === 'exchanged') return await this.#keep(ref, answer);
      if (answer.kind === 'rejected' || answer.kind === 'client_rejected') return await this.#refuse(ref, answer);
      const next = nextIntervalS(intervalS, answer);
      if (answer.kind === 'failed') {
        this.#logger.warn('a device code was not asked about', { sessionId: ref.sessionId, error: answer.error });
      }
      // The slower pace is said at once, so that whoever goes on keeps it.
      if (next !== intervalS && !(await this.#renew(asking, next))) return;
    }
  }

  /** May one more question be asked, whose answer comes while it is still this process that asks? */
  async #stillOurs(asking: Asking, intervalS: number): Promise<boolean> {
    return this.#hasTime(asking.device) || (await this.#renew(asking, intervalS));
  }

  #hasTime({ pollerId, pollingUntilMs }: DevicePolling): boolean {
    const lastMs = pollingUntilMs - authorizationLimits.pollingMarginMs;
    return pollerId === this.#pollerId && this.#clock.nowMs() < lastMs;
  }

  async #renew(asking: Asking, intervalS: number): Promise<boolean> {
    const claimed = await this.#claimed(asking.ref, intervalS);
    if (claimed === undefined) return false;
    asking.device = claimed.device;
    return true;
  }

  async #claimed({ tenantId, connectionId, sessionId }: SessionRef, intervalS: number) {
    const { state } = await this.#connections.execute(
      { tenantId, id: connectionId },
      (connection, { nowMs }) => {
        const { device } = connection.session ?? {};
        const goesOn = device !== undefined && this.#hasTime(device) && intervalS <= device.intervalS;
        if (goesOn) return [];
        const asking = this.claim(Math.max(intervalS, device?.intervalS ?? 1));
        return startDevicePolling({ sessionId, ...asking, nowMs }, connection);
      },
      { actor: { type: 'service', id: 'authorization' }, fromLeader: true, ...commitOrigin() },
    );
    const { session } = state;
    const device = session?.sessionId === sessionId && session.stage === 'polling' ? session.device : undefined;
    if (session === null || device?.pollerId !== this.#pollerId) return undefined;
    return device.expiresAtMs <= this.#clock.nowMs() ? undefined : { session, device };
  }

  /** The tokens wait in the vault as those of every session do; then the log says so. */
  async #keep(ref: SessionRef, { tokenSet, account, accountKeys }: Exchanged): Promise<void> {
    const { tenantId, connectionId, sessionId } = ref;
    const { state } = await this.#connections.load({ tenantId, id: connectionId }, { fromLeader: true });
    const keys = this.#digests.accountKeys({ tenantId, providerId: state.providerId }, accountKeys);
    const granted = {
      accountDigest: this.#digests.account(tenantId, account),
      ...(keys !== undefined && { accountKeys: keys }),
      ...boundBy(tokenSet),
    };
    if (isAnotherAccount(state, granted)) {
      return await this.#refuse(ref, { error: 'another_account', errorDescription: null });
    }
    try {
      await this.#pending.store(ref, tokenSet);
    } catch (error) {
      this.#logger.error('a token set had for a device code could not be stored', { sessionId, err: error });
      return await this.#refuse(ref, { error: 'not_stored', errorDescription: null });
    }
    await this.#connections.execute(
      { tenantId, id: connectionId },
      (connection, { nowMs }) => grantDeviceAuthorization({ sessionId, ...granted, nowMs }, connection),
      { actor: { type: 'end_user' }, fromLeader: true, ...commitOrigin() },
    );
  }

  async #refuse(
    { tenantId, connectionId, sessionId }: SessionRef,
    { error, errorDescription }: Refused,
  ): Promise<void> {
    const stage = error === 'access_denied' || error === 'expired_token' ? 'authorization' : 'exchange';
    await this.#connections.execute(
      { tenantId, id: connectionId },
      (connection, { nowMs }) => denyAuthorization({ sessionId, stage, error, errorDescription, nowMs }, connection),
      { actor: { type: 'end_user' }, fromLeader: true, ...commitOrigin() },
    );
  }
}
