import { ConnectionView, Freshness, type ConnectionEvent } from '@postern/contracts';

import {
  afterItsEnd,
  connected,
  connectionId,
  exchanging,
  interrupted,
  rejected,
  released,
  revoked,
  stateOf,
  the,
  whileItLives,
  withoutRefreshToken,
} from '../spec-support/connection.ts';
import { codeOf } from '../spec-support/given.ts';
import { freshnessOf, labelOf } from './freshness.ts';
import { viewOf } from './view.ts';

const freshness = (history: readonly ConnectionEvent[], nowMs = whileItLives) =>
  freshnessOf(stateOf(history), { nowMs });

const histories: [Freshness['health'], readonly ConnectionEvent[]][] = [
  ['pending', exchanging],
  ['ok', connected],
  ['degraded', [...released, the.failed()]],
  ['degraded', interrupted],
  ['reauthorization_required', rejected],
  ['revoked', revoked],
  ['suspended', [...connected, the.suspended()]],
  ['suspended', [...rejected, the.suspended()]],
  ['revoked', [...revoked, the.suspended()]],
  ['deleted', [...revoked, the.suspended(), the.deletionRequested()]],
];

test.each(histories)('the label of four axes: %s', (health, history) => {
  expect(labelOf(stateOf(history))).toBe(health);
  expect(Freshness.parse(freshness(history)).health).toBe(health);
});

test.each(histories)('a view fits its schema: %s', (health, history) => {
  const view = viewOf(stateOf(history), {
    revision: 3,
    position: 7,
    reauthorizeUrl: `https://postern.example/connect/${connectionId}`,
    nowMs: whileItLives,
  });
  expect(ConnectionView.parse(view)).toEqual(view);
  const helped = health === 'revoked' || health === 'reauthorization_required';
  expect(view.reauthorize_url !== null).toBe(helped);
});

test('a failure tells since when, and why', () => {
  const told = freshness([...released, the.failed()]);
  expect(told).toMatchObject({ reason: 'temporarily_unavailable', refresh_failing_since: '2030-01-01T00:00:05.000Z' });
});

test('a failure tells when it is tried again, as long as it is', () => {
  expect(freshness([...released, the.failed()]).next_attempt_at).toBe('2030-01-01T01:01:30.000Z');
  expect(freshness(connected).next_attempt_at).toBeNull();
  expect(freshness([...released, the.failed(), the.revoked()]).next_attempt_at).toBeNull();
});

test('a revocation tells its cause', () => {
  expect(freshness(revoked).reason).toBe('requested_by_platform');
});

test('a spent token that cannot be refreshed is the end, before the log says so', () => {
  expect(freshness(withoutRefreshToken, afterItsEnd)).toMatchObject({
    health: 'reauthorization_required',
    reason: 'refresh_token_missing',
  });
  expect(freshness(withoutRefreshToken).health).toBe('ok');
});

test('a refresh is dated', () => {
  expect(freshness(connected).last_refreshed_at).toBeNull();
  expect(freshness([...released, the.refreshed()]).last_refreshed_at).toBe('2030-01-01T00:00:05.000Z');
});

test('an end beyond the calendar is told as its last day', () => {
  const eternal = [...exchanging, the.authorized({ accessTokenExpiresAtMs: Number.MAX_SAFE_INTEGER })];
  expect(Freshness.parse(freshness(eternal)).credential_expires_at).toBe('9999-12-31T23:59:59.999Z');
});

test('who asks may be behind the log', () => {
  expect(freshnessOf(stateOf(connected), { nowMs: whileItLives, stale: true }).stale).toBe(true);
});

test('nothing is told of a connection that is not there', () => {
  const context = { revision: 0, position: 0, reauthorizeUrl: null, nowMs: whileItLives };
  expect(codeOf(() => viewOf(stateOf([]), context))).toBe('connection.not_found');
});
