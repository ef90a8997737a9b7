import { newId, type ConnectionEvent } from '@postern/contracts';
import { generateSigningKey } from '@postern/crypto';
import { connectionEvolver, upcast } from '@postern/domain';
import { commitSigner, CommitReader, commitVerifier, Follower, MemoryEventLog, Repository } from '@postern/event-log';
import { Clock } from '@postern/service';

import { connected, connectionId, tenantId, the } from '../spec-support/states.ts';
import { RefreshFlights, type Ask } from './refresh-flights.ts';

const connection = { tenantId, id: connectionId };
const ask: Ask = { connection, credentialVersion: 1, reason: 'requested', reauthorizeUrl: 'https://postern.example/c' };
const patient = { timeoutMs: 5_000 };

const followers: Follower[] = [];
afterEach(() => Promise.all(followers.splice(0).map((follower) => follower.stop())));

/** The flights over a log in memory; `onPublish` is the worker. */
async function world(
  onPublish: (append: (...events: ConnectionEvent[]) => Promise<void>) => Promise<void>,
  { pausedMs = 0, also = [] }: { readonly pausedMs?: number; readonly also?: readonly ConnectionEvent[] } = {},
) {
  const keys = { refresh: generateSigningKey(), authorization: generateSigningKey(), vault: generateSigningKey() };
  const writers = Object.fromEntries(Object.entries(keys).map(([name, { publicJwk }]) => [name, [publicJwk]]));
  const reader = new CommitReader({ verifier: commitVerifier({ writers, recipients: {} }) });
  const log = new MemoryEventLog();
  const writer = (name: keyof typeof keys) =>
    new Repository({
      ...{ log, reader, evolver: connectionEvolver, upcast, source: '/postern/spec' },
      signer: commitSigner(name, keys[name].privateJwk),
    });
  const options = { actor: { type: 'service' as const }, correlationId: newId('correlation') };
  await writer('authorization').execute(connection, () => connected, options);
  const append = async (...events: ConnectionEvent[]) => {
    for (const event of events) {
      await writer(event.type === 'RefreshTokenReleased' ? 'vault' : 'refresh').execute(
        connection,
        () => [event],
        options,
      );
    }
  };
  await append(...also);
  const follower = new Follower({ log, reader, filter: 'connection.>', from: 'end', onEntry: () => undefined });
  followers.push(follower);
  await follower.start();
  const published: unknown[] = [];
  const due = {
    publish: async (message: unknown) => {
      published.push(message);
      await onPublish(append);
      // The feed is as fast as can be: whatever the worker wrote is told before the publishing returns.
      await follower.waitForPosition(await log.head(), { timeoutMs: 10_000 });
    },
  };
  const logger = { warn: () => undefined };
  const flights = new RefreshFlights(
    writer('refresh'),
    follower as never,
    due as never,
    new Clock(),
    logger as never,
    { pausedMs: () => pausedMs } as never,
  );
  return { flights, published };
}

const hourAhead = Date.now() + 3_600_000;
const claim = { claimExpiresAtMs: hourAhead, reason: 'requested' } as const;

test('an outcome that comes before the publishing returns is heard', async () => {
  const { flights, published } = await world((append) =>
    append(the.claimed(claim), the.released, the.failed(hourAhead)),
  );
  const answer = await flights.answer(ask, patient);
  expect(answer).toMatchObject({ refusal: { code: 'refresh.unavailable' } });
  expect(published).toHaveLength(1);
});

test('callers of one refresh share one due message', async () => {
  const { flights, published } = await world(async (append) =>
    append(the.claimed(claim), the.released, the.refreshed({ accessTokenExpiresAtMs: hourAhead })),
  );
  const answers = await Promise.all(Array.from({ length: 50 }, () => flights.answer(ask, patient)));
  expect(answers).toEqual(answers.map(() => expect.objectContaining({ reply: expect.anything() })));
  expect(published).toEqual([{ tenantId, connectionId, reason: 'requested', credentialVersion: 1, position: 1 }]);
  expect(flights.size).toBe(0);
});

test('a due message that was acknowledged for an older attempt is published again', async () => {
  const { flights, published } = await world(async (append) => {
    if (published.length < 2) return;
    await append(the.claimed(claim), the.released, the.refreshed({ accessTokenExpiresAtMs: hourAhead }));
  });
  expect(await flights.answer(ask, patient)).toMatchObject({ reply: { credential_version: 2 } });
  expect(published).toHaveLength(2);
});

test('a caller with a deadline gets a coded answer at its deadline, and nobody waits on', async () => {
  const { flights } = await world(async () => undefined);
  await expect(flights.answer(ask, { timeoutMs: 5 })).rejects.toMatchObject({ code: 'refresh.timeout' });
  expect(flights.size).toBe(0);
});

test('while the provider is left alone, nobody waits for what nobody will do', async () => {
  const { flights, published } = await world(async () => undefined, { pausedMs: 2_500 });
  const refusal = { code: 'refresh.unavailable', details: { retry_after_s: 3 } };
  expect(await flights.answer(ask, patient)).toMatchObject({ refusal });
  expect(published).toHaveLength(0);
});

test('a claim that stands is waited for all the same', async () => {
  const also = [the.claimed(claim)];
  const refreshed = the.refreshed({ accessTokenExpiresAtMs: hourAhead });
  const { flights } = await world((append) => append(the.released, refreshed), { pausedMs: 2_500, also });
  expect(await flights.answer(ask, patient)).toMatchObject({ reply: { credential_version: 2 } });
});
