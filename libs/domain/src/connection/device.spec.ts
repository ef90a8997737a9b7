import { CarriedConnection, limits } from '@postern/contracts';

import { endUserDigest, given, polled, ses, stateOf, the } from '../spec-support/connection.ts';
import { codeOf, startMs } from '../spec-support/given.ts';
import {
  grantDeviceAuthorization,
  startDeviceAuthorization,
  startDevicePolling,
  type StartDevicePolling,
} from './device.ts';
import { hasReauthorizePage } from './grants.ts';
import { completeAuthorization, completionOf, startCodeExchange } from './session.ts';

const nowMs = startMs + 1_000;
const untilMs = startMs + 30_000;
const asking = { sessionId: ses(1), pollerId: 'poller-1', pollingUntilMs: untilMs, intervalS: 5 };
const start = { ...asking, deviceCodeExpiresAtMs: startMs + 600_000, nowMs };
const begun = [the.sessionStarted({ grant: 'device_code' })];
const goOn: StartDevicePolling = { ...asking, pollingUntilMs: untilMs + 25_000, nowMs };
const granted = { sessionId: ses(1), accountDigest: 'digest-of-account', nowMs };

describe('a device code', () => {
  test('is given once a session, and in no other kind of session', () => {
    given(begun).when(startDeviceAuthorization, start).then([the.deviceStarted()]);
    given(polled).when(startDeviceAuthorization, start).thenRefused('session.already_used');
    given([the.sessionStarted()]).when(startDeviceAuthorization, start).thenRefused('session.not_found');
    given([...begun, the.denied()])
      .when(startDeviceAuthorization, start)
      .thenRefused('session.denied');
    given(begun)
      .when(startCodeExchange, { sessionId: ses(1), nowMs })
      .thenRefused('session.state_mismatch');
  });

  test('is asked about by one process, which goes on as long as it says so', () => {
    const told = the.devicePolling({ pollingUntilMs: untilMs + 25_000 });
    given(polled).when(startDevicePolling, goOn).then([told]);
    given(polled)
      .when(startDevicePolling, { ...goOn, pollerId: 'another' })
      .thenNothing();
  });

  test('passes to another process when the one before has had its time, however far its clock is behind', () => {
    const endsMs = untilMs + limits.clockSkewMsMax;
    const another = { ...goOn, pollerId: 'another', pollingUntilMs: endsMs + 30_000 };
    given(polled)
      .when(startDevicePolling, { ...another, nowMs: endsMs - 1 })
      .thenNothing();
    given(polled)
      .when(startDevicePolling, { ...another, nowMs: endsMs })
      .then([the.devicePolling({ pollerId: 'another', pollingUntilMs: endsMs + 30_000 })]);
  });

  test('is never asked about more often than before', () => {
    const slowed = [...polled, the.devicePolling({ intervalS: 15 })];
    given(slowed)
      .when(startDevicePolling, goOn)
      .then([the.devicePolling({ pollingUntilMs: untilMs + 25_000, intervalS: 15 })]);
  });

  test('is not asked about when it or its session is over, or has brought tokens', () => {
    const short = [...begun, the.deviceStarted({ deviceCodeExpiresAtMs: nowMs })];
    given(short).when(startDevicePolling, goOn).thenNothing();
    given([...polled, the.deviceGranted()])
      .when(startDevicePolling, goOn)
      .thenNothing();
    given([...polled, the.denied()])
      .when(startDevicePolling, goOn)
      .thenRefused('session.denied');
    given(polled)
      .when(startDevicePolling, { ...goOn, nowMs: startMs + limits.sessionTtlMs })
      .thenRefused('session.expired');
  });

  test('brings tokens once, whoever asked; before it does, nothing can be completed', () => {
    given(polled).when(grantDeviceAuthorization, granted).then([the.deviceGranted()]);
    given([...polled, the.deviceGranted()])
      .when(grantDeviceAuthorization, granted)
      .thenNothing();
    given(begun).when(grantDeviceAuthorization, granted).thenRefused('session.code_invalid');
    const completion = { sessionId: ses(1), endUserDigest, nowMs };
    expect(codeOf(() => completionOf(stateOf(polled), completion))).toBe('session.code_invalid');
    expect(completionOf(stateOf([...polled, the.deviceGranted()]), completion)).toBe('completable');
  });

  test('goes on in another epoch where it stood, byte for byte', () => {
    const granted = the.deviceGranted({ accountKeys: { email: 'digest' }, senderConstrained: 'dpop' });
    for (const events of [begun, polled, [...polled, the.devicePolling({ intervalS: 10 })], [...polled, granted]]) {
      const state = stateOf(events);
      expect(JSON.stringify(CarriedConnection.parse(state))).toBe(JSON.stringify(state));
    }
  });

  test('is completed for the end user of the session alone, and stands in the credential as how it was had', () => {
    const done = [...polled, the.deviceGranted({ senderConstrained: 'dpop' })];
    const { session } = stateOf(done);
    expect(session?.granted).toEqual({ accountDigest: 'digest-of-account', senderConstrained: 'dpop' });
    const command = {
      ...{ sessionId: ses(1), credentialVersion: 1, grantedScopes: ['contacts.read'], hasRefreshToken: true },
      ...{ accessTokenExpiresAtMs: null, accountDigest: 'digest-of-account', grant: 'device_code' as const },
      ...{ endUserDigest, nowMs },
    };
    given(done)
      .when(completeAuthorization, { ...command, endUserDigest: 'another' })
      .thenRefused('session.end_user_mismatch');
    const state = stateOf([...done, ...completeAuthorization(command, stateOf(done))]);
    expect(state.credential).toMatchObject({ grant: 'device_code', hasRefreshToken: true });
    expect(hasReauthorizePage(state)).toBe(true);
    expect(hasReauthorizePage({ ...state, returnUrl: '' })).toBe(false);
  });
});
