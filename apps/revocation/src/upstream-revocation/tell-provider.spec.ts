import { Secret } from '@postern/crypto';
import type { RevokeOutcome } from '@postern/provider-client';

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

/** A provider that answers so to each kind of token. */
async function told(answers: { refresh_token?: RevokeOutcome; access_token?: RevokeOutcome }) {
  const hints: string[] = [];
  const client = {
    revoke: async ({ hint }: { hint: 'access_token' | 'refresh_token' }) => {
      hints.push(hint);
      return answers[hint] ?? revoked;
    },
  };
  const tokens = {
    accessToken: Secret.from('a'),
    refreshToken: answers.refresh_token === undefined ? null : Secret.from('r'),
  };
  return { outcome: await tellProvider(client, tokens), hints };
}

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
