import { limits, PosternError, type ConnectionEvent } from '@postern/contracts';

import { connectionEvent, type DataOf } from './events.ts';
import { requireHere } from './guards.ts';
import { requireLiving, requireOpen, requireUnused } from './session.ts';
import type { Connection, OpenSession } from './state.ts';

export interface StartDeviceAuthorization extends DataOf<'DeviceAuthorizationStarted'> {
  readonly nowMs: number;
}

export interface StartDevicePolling extends DataOf<'DevicePollingStarted'> {
  readonly nowMs: number;
}

export interface GrantDeviceAuthorization extends DataOf<'DeviceAuthorizationGranted'> {
  readonly nowMs: number;
}

/** Refuses a session that is not one with a user code. */
function requireDevice(state: Connection, sessionId: string, nowMs: number): OpenSession {
  requireHere(state);
  const session = requireOpen(state, sessionId);
  requireLiving(session, nowMs);
  if (session.grant === 'device_code') return session;
  throw new PosternError('session.not_found', 'The session is not one with a user code.');
}

/**
 * Records that the provider gave a device code, and that the process which asked for it is the one that asks about it.
 *
 * @throws {PosternError} `session.already_used` when there is one already: the user code is shown in one place alone
 * @source RFC 8628 §3.2
 */
export function startDeviceAuthorization(command: StartDeviceAuthorization, state: Connection): ConnectionEvent[] {
  const { nowMs, ...data } = command;
  requireDevice(state, command.sessionId, nowMs);
  requireUnused(command, state);
  return [connectionEvent('DeviceAuthorizationStarted', data)];
}

/**
 * Claims the asking about a device code, or goes on with it: two processes that ask would be told to slow down, and only
 * one could get the tokens.
 *
 * @returns no events while another process asks, and once nothing is left to ask.
 * @throws {PosternError} as the session's end says
 * @source RFC 8628 §3.5
 */
export function startDevicePolling(command: StartDevicePolling, state: Connection): ConnectionEvent[] {
  const { nowMs, ...data } = command;
  const { stage, device } = requireDevice(state, command.sessionId, nowMs);
  if (stage !== 'polling' || device === undefined) return [];
  const isOthers = device.pollerId !== command.pollerId && nowMs < pollingEndsMs(device);
  if (isOthers || nowMs >= device.expiresAtMs) return [];
  return [connectionEvent('DevicePollingStarted', { ...data, intervalS: Math.max(data.intervalS, device.intervalS) })];
}

/** From when on another may ask: its clock may be ahead of who asked last. */
export function pollingEndsMs({ pollingUntilMs }: NonNullable<OpenSession['device']>): number {
  return pollingUntilMs + limits.clockSkewMsMax;
}

/**
 * Records that the provider gave tokens, which the vault holds; the session can be completed from here on.
 *
 * Welcome from whoever got them, also when another began to ask meanwhile: a device code brings tokens once.
 *
 * @returns no events when it is recorded already.
 * @throws {PosternError} as the session's end says
 */
export function grantDeviceAuthorization(command: GrantDeviceAuthorization, state: Connection): ConnectionEvent[] {
  const { nowMs, ...data } = command;
  const session = requireDevice(state, command.sessionId, nowMs);
  if (session.granted !== undefined) return [];
  if (session.stage !== 'polling') {
    throw new PosternError('session.code_invalid', 'No device code was given for this session yet.');
  }
  return [connectionEvent('DeviceAuthorizationGranted', data)];
}
