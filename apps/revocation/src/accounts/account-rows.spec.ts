import type { ConnectionEvent } from '@postern/contracts';
import { connectionEvolver, fold } from '@postern/domain';

import { revocationLimits } from '../revocation-limits.ts';
import { the } from '../spec-support/connection-events.ts';
import { accountFactOf } from './account-rows.ts';

const atMs = Date.UTC(2026, 10, 29);
const sessionId = 'ses_01jd0000000000000000000001';
const session = {
  sessionId,
  platformId: 'plt_01jd0000000000000000000001',
  registrationId: 'reg_01jd0000000000000000000001',
};
const meta = {
  ...{ tenantId: 'ten_01jd0000000000000000000001', aggregateId: 'con_01jd0000000000000000000001', atMs },
  actor: { type: 'service', id: 'spec' },
} as const;
const inspectedAtMs = atMs + 3_600_000;

type Authorized = Omit<Parameters<typeof the.authorized>[0], 'sessionId'>;

/** What the index holds of the token of a connection that was authorized so, and then inspected. */
function tokenOf(data: Authorized, wasInspected = false) {
  const events = [the.sessionStarted(session), the.exchangeStarted(sessionId), the.authorized({ sessionId, ...data })];
  const history = events.map((event) => ({ event: event as unknown as ConnectionEvent, meta }));
  const inspected = { type: 'InspectionStarted', version: 1, data: { credentialVersion: 1 } } as const;
  if (wasInspected)
    history.push({ event: inspected as unknown as ConnectionEvent, meta: { ...meta, atMs: inspectedAtMs } });
  return accountFactOf(fold(connectionEvolver, history), 4).token;
}

const noEnd = { accessTokenExpiresAtMs: null };
const madeByHand = { ...noEnd, grant: 'static', hasRefreshToken: false } as const;

test('what was made by hand is held, was heard of when it was brought or last asked about, and keeps to the time of its file', () => {
  expect(tokenOf(madeByHand)).toEqual({ heardAtMs: atMs, isAtRisk: false });
  expect(tokenOf(madeByHand, true)).toEqual({ heardAtMs: inspectedAtMs, isAtRisk: false });
});

test('a refresh token is held, and is at risk where no refresh would soon find it dead', () => {
  const { accessTokenLifeMsAtRisk: lifeMs } = revocationLimits;
  expect(tokenOf({ accessTokenExpiresAtMs: atMs + lifeMs })).toEqual({ heardAtMs: atMs, isAtRisk: false });
  expect(tokenOf({ accessTokenExpiresAtMs: atMs + lifeMs + 1 })).toEqual({ heardAtMs: atMs, isAtRisk: true });
  expect(tokenOf(noEnd, true)).toEqual({ heardAtMs: inspectedAtMs, isAtRisk: true });
});

test.each([undefined, 'client_credentials', 'token_exchange', 'imported'] as const)(
  'an access token alone, had by %s, is not asked about',
  (grant) => {
    expect(tokenOf({ ...noEnd, hasRefreshToken: false, ...(grant !== undefined && { grant }) })).toBeNull();
  },
);
