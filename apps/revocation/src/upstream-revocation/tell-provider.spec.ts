import { Secret } from '@postern/crypto';
import type { RevokeOutcome } from '@postern/provider-client';

import type { RevokingClient } from '../provider/provider-clients.ts';
import { tellProvider } from './tell-provider.ts';

const revoked: RevokeOutcome = { kind: 'revoked' };
const failed = (error: string, httpStatus: number | null, retryable: boolean): RevokeOutcome => ({
  kind: 'failed',
  error,
  httpStatus,
  retryable,
  retryAfterMs: null,
});
const unsupported = failed('unsupported_token_type', 400, false);
const busy = failed('temporarily_unavailable', 503, true);

const unasked = () => Promise.reject(new Error('nobody was to ask this'));

/** A provider that answers so to each kind of token. */
async function told(answers: { refresh_token?: RevokeOutcome; access_token?: RevokeOutcome }) {
  const hints: string[] = [];
  const client = {
    revoke: async ({ hint }: { hint: 'access_token' | 'refresh_token' }) => {
      hints.push(hint);
      return answers[hint] ?? revoked;
    },
    hasOwnRevocation: false,
    endAuthorization: unasked,
    refresh: unasked,
  };
  const tokens = {
    accessToken: Secret.from('a'),
    refreshToken: answers.refresh_token === undefined ? null : Secret.from('r'),
    accessTokenExpiresAtMs: null,
    grantedScopes: [],
  };
  return { outcome: await tellProvider(client, tokens, { nowMs: 0 }), hints };
}

describe('a provider with an endpoint of its own', () => {
  const live = { grantedScopes: ['a'], refreshToken: Secret.from('r'), accessToken: Secret.from('old') };
  async function toldBy(refreshed: 'refreshed' | 'rejected' | 'failed', accessTokenExpiresAtMs: number | null) {
    const calls: string[] = [];
    const words = { error: 'no', errorDescription: null, httpStatus: 400 };
    const client: RevokingClient = {
      hasOwnRevocation: true,
      revoke: unasked,
      endAuthorization: async ({ accessToken }) => {
        calls.push(`end ${accessToken.reveal()}`);
        return revoked;
      },
      refresh: async ({ refreshToken }) => {
        calls.push(`refresh ${refreshToken.reveal()}`);
        if (refreshed === 'rejected') return { kind: refreshed, ...words };
        if (refreshed === 'failed') return { kind: refreshed, ...words, retryAfterMs: 7, mayHaveBeenProcessed: true };
        const tokens = { accessToken: 'new', tokenType: 'bearer', refreshToken: 'r2' };
        const tokenSet = { ...tokens, accessTokenExpiresAtMs: null, grantedScopes: ['a'] };
        return { kind: refreshed, rotated: true, tokenSet };
      },
    };
    return { outcome: await tellProvider(client, { ...live, accessTokenExpiresAtMs }, { nowMs: 1_000 }), calls };
  }

  test.each([null, 1_001])('is given the access token that lives (until %s)', async (endsAtMs) => {
    const { outcome, calls } = await toldBy('refreshed', endsAtMs);
    expect(outcome).toEqual({ kind: 'told', method: 'provider_endpoint' });
    expect(calls).toEqual(['end old']);
  });

  test('is given a new one where the old one has expired: it would be unknown, and the refresh token live on', async () => {
    const { outcome, calls } = await toldBy('refreshed', 1_000);
    expect(outcome).toEqual({ kind: 'told', method: 'provider_endpoint' });
    expect(calls).toEqual(['refresh r', 'end new']);
  });

  test('has nothing left to end where neither lives', async () => {
    const { outcome, calls } = await toldBy('rejected', 1_000);
    expect(outcome).toEqual({ kind: 'told', method: 'nothing_to_revoke' });
    expect(calls).toEqual(['refresh r']);
  });

  test('is asked again where no new one could be had', async () => {
    const { outcome } = await toldBy('failed', 1_000);
    expect(outcome).toEqual({ kind: 'failed', error: 'no', mayPass: true, retryAfterMs: 7 });
  });
});

test('the refresh token is named first, then the access token', async () => {
  const { outcome, hints } = await told({ refresh_token: revoked });
  expect(outcome).toEqual({ kind: 'told', method: 'rfc7009' });
  expect(hints).toEqual(['refresh_token', 'access_token']);
});

test('without a refresh token the access token is named', async () => {
  const { outcome, hints } = await told({});
  expect(outcome).toEqual({ kind: 'told', method: 'rfc7009' });
  expect(hints).toEqual(['access_token']);
});

test('a refresh token that could not be revoked is a failure, and nothing more is said', async () => {
  const { outcome, hints } = await told({ refresh_token: busy });
  expect(outcome).toMatchObject({ kind: 'failed', error: 'temporarily_unavailable', mayPass: true });
  expect(hints).toEqual(['refresh_token']);
});

test('a provider that knows refresh tokens alone was told', async () => {
  expect((await told({ refresh_token: revoked, access_token: unsupported })).outcome.kind).toBe('told');
});

test('an access token that may be revoked later is a failure', async () => {
  const { outcome } = await told({ refresh_token: revoked, access_token: busy });
  expect(outcome).toMatchObject({ kind: 'failed', mayPass: true });
});

test('an access token alone that no provider takes is a failure for ever', async () => {
  expect((await told({ access_token: unsupported })).outcome).toMatchObject({ kind: 'failed', mayPass: false });
});

test('refused credentials of ours can be mended, whatever the status', async () => {
  for (const refusal of [failed('http_401', 401, false), failed('invalid_client', 400, false)]) {
    expect((await told({ refresh_token: refusal })).outcome).toMatchObject({ kind: 'failed', mayPass: true });
  }
});
