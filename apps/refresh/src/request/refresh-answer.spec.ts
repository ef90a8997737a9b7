import type { ConnectionEvent } from '@postern/contracts';

import { afterItsEnd, connected, stateOf, the, tokenEndsMs, whileItLives } from '../spec-support/states.ts';
import { answerAfter, answerNow, answerPaused, type Answer, type Question } from './refresh-answer.ts';

const reauthorizeUrl = 'https://postern.example/connect/x';
const question = (more: Partial<Question> = {}): Question => ({
  credentialVersion: 1,
  reason: 'expired',
  nowMs: afterItsEnd,
  reauthorizeUrl,
  ...more,
});
const now = (history: readonly ConnectionEvent[], more: Partial<Question> = {}) =>
  answerNow({ state: stateOf(history), position: 7 }, question(more));
const codeOf = (answer: Answer | undefined) => (answer && 'refusal' in answer ? answer.refusal.code : answer);
const claimed = [...connected, the.claimed(), the.released];
const after = (history: readonly ConnectionEvent[], event: ConnectionEvent, more: Partial<Question> = {}) =>
  answerAfter([event], { state: stateOf([...history, event]), position: 8 }, question(more));

describe('while the provider is left alone', () => {
  const paused = (more: Partial<Question> = {}) =>
    answerPaused({ state: stateOf(connected), position: 7 }, question(more), 2_500);

  test('a living token is told with its freshness', () => {
    expect(paused({ nowMs: whileItLives })).toMatchObject({ reply: { credential_version: 1 } });
  });

  test('without one, when to come back', () => {
    expect(paused()).toMatchObject({ refusal: { code: 'refresh.unavailable', details: { retry_after_s: 3 } } });
  });
});

describe('what can be told at once', () => {
  test('an expired token is to be refreshed', () => {
    expect(now(connected)).toBeUndefined();
  });

  test('a newer version is the answer, whoever works on the next one', () => {
    const refreshed = [...claimed, the.refreshed()];
    expect(now(refreshed)).toMatchObject({
      reply: { credential_version: 2, position: 7, freshness: { health: 'ok' } },
    });
    const next = [...refreshed, the.claimed({ credentialVersion: 2 })];
    expect(now(next)).toMatchObject({ reply: { credential_version: 2 } });
  });

  test('a live claim is waited for', () => {
    expect(now(claimed)).toBeUndefined();
  });

  test('a connection that only the end user can help says where', () => {
    const answer = now([...claimed, the.rejected, the.reauthorizationRequired]);
    expect(answer).toMatchObject({
      refusal: {
        code: 'connection.reauthorization_required',
        details: { reauthorize_url: reauthorizeUrl, freshness: { reason: 'invalid_grant' } },
      },
    });
  });

  test.each([
    ['revoked', the.revoked, 'connection.revoked'],
    ['suspended', the.suspended, 'connection.suspended'],
  ] as const)('a %s connection is refused by its own code', (_name, event, code) => {
    expect(codeOf(now([...connected, event]))).toBe(code);
  });

  test('a living token without a refresh token cannot be refreshed, an ended one is put to the worker', () => {
    const without = [the.started, the.exchanging, the.authorized({ hasRefreshToken: false })];
    expect(now(without, { nowMs: whileItLives })).toMatchObject({
      refusal: { code: 'refresh.not_possible', details: { freshness: { health: 'ok' } } },
    });
    expect(now(without)).toBeUndefined();
  });

  test('before the next attempt is due, a living token is told with its degraded freshness', () => {
    const failing = [...claimed, the.failed(tokenEndsMs + 60_000)];
    expect(now(failing, { nowMs: whileItLives })).toMatchObject({
      reply: { credential_version: 1, freshness: { health: 'degraded', reason: 'http_500' } },
    });
    expect(now(failing)).toMatchObject({ refusal: { code: 'refresh.unavailable', details: { retry_after_s: 59 } } });
  });

  test('a request overrides a back-off, but not the wait after an interruption', () => {
    const failing = [...claimed, the.failed(tokenEndsMs + 60_000)];
    expect(now(failing, { reason: 'requested' })).toBeUndefined();
    const interrupted = [...claimed, the.interrupted];
    expect(now(interrupted, { reason: 'requested', nowMs: whileItLives })).toMatchObject({
      reply: { freshness: { health: 'degraded', reason: 'refresh_interrupted' } },
    });
  });
});

describe('what a commit means to those who wait', () => {
  test('new tokens are the answer', () => {
    expect(after(claimed, the.refreshed())).toMatchObject({ reply: { credential_version: 2, position: 8 } });
  });

  test('steps on the way are none', () => {
    expect(after(connected, the.claimed())).toBeUndefined();
    expect(after([...connected, the.claimed()], the.released)).toBeUndefined();
  });

  test('a failure is told as what is left: the living token, or nothing', () => {
    const failed = the.failed(tokenEndsMs + 60_000);
    expect(after(claimed, failed, { nowMs: whileItLives })).toMatchObject({
      reply: { freshness: { health: 'degraded' } },
    });
    expect(codeOf(after(claimed, failed))).toBe('refresh.unavailable');
  });

  test('a failure whose retry is due at once is waited through', () => {
    expect(after(claimed, the.failed(afterItsEnd))).toBeUndefined();
    expect(after(claimed, the.interrupted)).toBeUndefined();
    expect(after(claimed, the.interrupted, { nowMs: whileItLives })).toMatchObject({
      reply: { credential_version: 1 },
    });
  });

  test.each([
    ['rejection', the.reauthorizationRequired, 'connection.reauthorization_required'],
    ['revocation', the.revoked, 'connection.revoked'],
    ['suspension', the.suspended, 'connection.suspended'],
  ] as const)('a %s is told by its code', (_name, event, code) => {
    expect(codeOf(after(claimed, event))).toBe(code);
  });
});
