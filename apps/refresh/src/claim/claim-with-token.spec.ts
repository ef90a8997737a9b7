import { PosternError, type ConnectionEvent } from '@postern/contracts';
import { Secret } from '@postern/crypto';

import { claimId, connected, connectionId, stateOf, tenantId, the, tokenEndsMs } from '../spec-support/states.ts';
import { ClaimWithToken } from './claim-with-token.ts';
import { TakeClaim } from './take-claim.ts';

const nowMs = tokenEndsMs - 30_000;
const due = { tenantId, connectionId, reason: 'scheduled', credentialVersion: 1, position: 1 } as const;
const token = { refreshToken: Secret.from('rt'), grantedScopes: [] };

interface Situation {
  /** What this process remembers of the connection; nothing where it is undefined. */
  readonly remembered: readonly ConnectionEvent[] | undefined;
  readonly reason?: 'scheduled' | 'requested' | 'expired';
  /** What the vault refuses with. */
  readonly refused?: PosternError;
  readonly version?: number;
}

function taking({ remembered, reason = 'scheduled', refused, version = 1 }: Situation) {
  const asked: unknown[] = [];
  const proposed: string[] = [];
  const clock = { nowMs: () => nowMs, monotonicMs: () => 7 } as never;
  const config = { claimTimeoutMs: 20_000 } as never;
  const logger = { debug: () => undefined, info: () => undefined } as never;
  const connections = {
    subjectOf: () => 'subject',
    peek: () => remembered && { state: stateOf(remembered) },
    /** By the log it stands as it is remembered. */
    execute: async (_ref: unknown, decide: (state: unknown, context: unknown) => ConnectionEvent[]) => {
      const state = stateOf(remembered ?? connected);
      const events = decide(state, { nowMs, loaded: { state, atMs: nowMs, position: 1 } });
      for (const { type, data } of events) if (type === 'RefreshStarted') proposed.push(data.claimId);
      return { state: stateOf([...(remembered ?? connected), ...events]) };
    },
  } as never;
  const tokens = {
    release: async (held: object, claim: object) => {
      asked.push({ held, claim });
      if (refused !== undefined) throw refused;
      return token;
    },
  } as never;
  const withToken = new ClaimWithToken(
    config,
    clock,
    connections,
    { of: async () => 'client' } as never,
    tokens,
    logger,
  );
  const take = new TakeClaim(config, clock, connections, withToken, logger);
  return { asked, proposed, take: () => take.take({ ...due, reason, credentialVersion: version }) };
}

test('what is planned, and well as far as is known, is claimed by the vault with its token', async () => {
  const { asked, proposed, take } = taking({ remembered: connected });
  const taken = await take();
  expect(taken).toMatchObject({ kind: 'claimed', held: { connectionId, sinceMs: 7 }, ready: { released: token } });
  expect(asked).toMatchObject([{ claim: { credential_version: 1, timeout_ms: 20_000 } }]);
  expect(proposed).toEqual([]);
});

test.each<[string, Situation]>([
  ['nothing is remembered', { remembered: undefined }],
  ['somebody asked for it', { remembered: connected, reason: 'requested' }],
  ['a lease asked for it', { remembered: connected, reason: 'expired' }],
  ['the last one failed', { remembered: [...connected, the.claimed({ claimId }), the.failed(nowMs - 1)] }],
  ['a claim stands', { remembered: [...connected, the.claimed({ claimId })] }],
  ['it was for another version', { remembered: connected, version: 2 }],
  ['it is suspended', { remembered: [...connected, the.suspended] }],
])('the vault is not asked to claim where %s', async (_name, situation) => {
  const { asked, take } = taking(situation);
  expect(await take()).not.toHaveProperty('ready');
  expect(asked).toEqual([]);
});

test('what the vault does not do, or is not heard of, is claimed in two steps by the same id', async () => {
  const { asked, proposed, take } = taking({
    remembered: connected,
    refused: new PosternError('bus.timeout', 'No answer.'),
  });
  const taken = await take();
  expect(taken).toMatchObject({ kind: 'claimed' });
  expect(taken).not.toHaveProperty('ready');
  const [{ held }] = asked as [{ held: { claimId: string } }];
  expect(proposed).toEqual([held.claimId]);
});
