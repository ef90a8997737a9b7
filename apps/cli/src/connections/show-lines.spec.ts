import { newId, type EventView } from '@postern/contracts';
import {
  rolloutEvolver,
  type Rollout,
  connectionEvolver,
  viewOf,
  type Connection,
  type DelegationChain,
} from '@postern/domain';

import { showLines } from './show-lines.ts';

const nowMs = Date.parse('2026-11-28T20:00:00Z');
const noConnection: Connection = connectionEvolver.initialState;
const { health: healthy } = noConnection;
const credential: NonNullable<Connection['credential']> = {
  ...{ version: 3, grantedScopes: ['contacts:read'], hasRefreshToken: true, accountDigest: null, boughtBy: 'clm_1' },
  ...{
    authorizedAtMs: nowMs - 86_400_000 * 3,
    refreshedAtMs: nowMs - 600_000,
    accessTokenExpiresAtMs: nowMs + 2_520_000,
  },
};
const connectionId = newId('connection');
const authorized: Connection = {
  ...{ ...noConnection, tenantId: newId('tenant'), connectionId, platformId: newId('platform'), providerId: 'slack' },
  ...{
    registrationId: newId('registration'),
    createdAtMs: nowMs - 86_400_000 * 3,
    authorization: 'authorized',
    credential,
  },
};

const alone: DelegationChain = { steps: [], parties: [] };

function screenOf(state: Connection, rollout: Rollout | null = null, chain = alone): string {
  const reauthorizeUrl = `https://postern.example/connect/${connectionId}`;
  const view = viewOf(state, { revision: 9, position: 70, reauthorizeUrl, chain, nowMs });
  return showLines({ view, state, events: [], rollout, chain, nowMs }).join('\n');
}

test('a connection that works says so, with its clocks', () => {
  const screen = screenOf(authorized);
  expect(screen).toContain('access token ends  2026-11-28T20:42:00.000Z (in 42 min)');
  expect(screen).toContain('last refreshed     2026-11-28T19:50:00.000Z (10 min ago)');
  expect(screen).toContain('created            2026-11-25T20:00:00.000Z (3 days ago)');
  expect(screen).not.toContain('failing since');
  expect(screen).not.toContain('bound to its key');
  expect(screen).toMatch(/Next: nothing: it works$/);
});

test('that its tokens are bound to a key is told, and what follows from it', () => {
  const bound = { ...authorized, credential: { ...credential, senderConstrained: 'dpop' as const } };
  expect(screenOf(bound)).toContain('bound to its key   by dpop: not leased');
});

test('of authorization details the types are told, and where they are not those that were asked for', () => {
  const screenWith = (types: string[], asRequested: boolean) =>
    screenOf({
      ...authorized,
      credential: { ...credential, authorizationDetails: { types, digest: 'd'.repeat(43), asRequested } },
    });
  expect(screenOf(authorized)).not.toMatch(/^ +details/m);
  expect(screenWith(['files', 'payment'], true)).toMatch(/^ +details +files payment$/m);
  expect(screenWith([], false)).toMatch(/^ +details +none \(not as they were asked for\)$/m);
});

test('its last events stand there with their whole time', () => {
  const event: EventView = {
    ...{ position: 70, revision: 9, version: 1, commit_id: 'cmt_1', correlation_id: 'cor_1' },
    ...{ at: '2026-11-28T19:50:00.000Z', actor: { type: 'end_user' }, type: 'ConnectionAuthorized', data: {} },
  };
  const view = viewOf(authorized, { revision: 9, position: 70, reauthorizeUrl: '', nowMs });
  const lines = showLines({ view, state: authorized, events: [event], rollout: null, chain: alone, nowMs });
  expect(lines).toContain('  2026-11-28T19:50:00.000Z  ConnectionAuthorized          end_user');
  const cut = '  (earlier ones were dropped, and stand in no archive here)';
  expect(lines).toContain(cut);
  const first = { ...event, revision: 1 };
  expect(showLines({ view, state: authorized, events: [first], rollout: null, chain: alone, nowMs })).not.toContain(
    cut,
  );
  const screen = Array.from({ length: 8 }, () => event);
  expect(showLines({ view, state: authorized, events: screen, rollout: null, chain: alone, nowMs })).not.toContain(cut);
});

test.each<[string, Partial<Connection>, RegExp]>([
  [
    'refreshing fails',
    {
      health: {
        ...healthy,
        status: 'degraded',
        reason: 'slow_down',
        failingSinceMs: nowMs - 60_000,
        nextAttemptAtMs: nowMs + 30_000,
      },
    },
    /health degraded: slow_down[^]*next attempt +2026-11-28T20:00:30.000Z \(in 30 s\)[^]*Next: wait for the next attempt/,
  ],
  ['it is suspended', { suspended: true }, /Next: postern connections resume con_/],
  [
    'it was revoked',
    { authorization: 'revoked', revokedAtMs: nowMs - 5_000, upstreamRevocation: 'pending' },
    /revoked +\S+ \(5 s ago\)[^]*provider told +pending[^]*Next: send the end user to https:/,
  ],
  [
    'nobody refreshed it in time',
    { credential: { ...credential, accessTokenExpiresAtMs: nowMs - 1_000 } },
    /was not refreshed: postern connections refresh con_/,
  ],
  [
    'there is nothing to refresh it with',
    { credential: { ...credential, hasRefreshToken: false, accessTokenExpiresAtMs: nowMs - 1_000 } },
    /Next: send the end user to https:[^]*postern connections reauthorize con_/,
  ],
  [
    'it is renewed without a refresh token',
    { credential: { ...credential, hasRefreshToken: false, grant: 'client_credentials' } },
    /refresh token +none needed: renewed by client_credentials[^]*Next: nothing: it works$/,
  ],
  [
    'it was revoked and no end user stands behind it',
    {
      authorization: 'revoked',
      credential: { ...credential, hasRefreshToken: false, grant: 'client_credentials' },
    },
    /Next: no end user can help: postern connections establish --connection con_\S+ --grant client_credentials$/,
  ],
  [
    'a worker holds its claim',
    { claim: { claimId: 'clm_1', credentialVersion: 3, expiresAtMs: nowMs + 10_000, released: true } },
    /claim until +\S+ \(in 10 s\), refresh token released/,
  ],
])('when %s, the screen says what to do', (_when, more, expected) => {
  expect(screenOf({ ...authorized, ...more })).toMatch(expected);
});

test('the version of the provider’s file is told: the pin, and what is used in its place', () => {
  const pinned = (providerVersion: number) => ({
    ...authorized,
    providerId: 'hubspot',
    credential: { ...credential, providerVersion },
  });
  const rollout = { ...rolloutEvolver.initialState, exists: true };
  const canary = { version: 6, sharePercent: 100, connectionIds: [], registrationIds: [] };
  expect(screenOf(pinned(1), rollout)).toMatch(/provider file +1$/m);
  expect(screenOf(pinned(1), { ...rollout, canary })).toMatch(/provider file +made with 1, uses 6 \(canary\)$/m);
  expect(screenOf(pinned(2), rollout)).toContain('made with 2, which this release has no more, uses 6');
});

test('who acts on whose behalf is told, and the one on which a derived connection founders', () => {
  const [subjectConnectionId, actorConnectionId] = [newId('connection'), newId('connection')];
  const delegation = { subjectConnectionId, actorConnectionId };
  const derived = {
    ...authorized,
    credential: { ...credential, hasRefreshToken: false, grant: 'token_exchange' as const, delegation },
  };
  const chainWith = (subject: Connection): DelegationChain => ({
    steps: [delegation],
    parties: [
      { connectionId: subjectConnectionId, role: 'subject', state: subject },
      { connectionId: actorConnectionId, role: 'actor', state: authorized },
    ],
  });
  const lives = screenOf(derived, null, chainWith(authorized));
  expect(lives).toContain(`acts          ${actorConnectionId} (ok)`);
  expect(lives).toContain(`on behalf of  ${subjectConnectionId} (ok)`);
  expect(lives).toMatch(/Next: nothing: it works$/);
  const founders = screenOf(derived, null, chainWith({ ...authorized, suspended: true }));
  expect(founders).toContain('health degraded: connection.delegation_ended');
  expect(founders).toContain(`Next: it leans on another one: postern connections show ${subjectConnectionId}`);
  const over = screenOf({ ...derived, authorization: 'revoked' }, null, chainWith(authorized));
  expect(over).toContain(`--grant token_exchange --subject ${subjectConnectionId} --actor ${actorConnectionId}`);
});
