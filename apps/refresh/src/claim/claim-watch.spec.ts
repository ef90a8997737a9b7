import type { LogEntry } from '@postern/event-log';
import { connectionEvolver, type Connection } from '@postern/domain';
import { consumers, limits, newId } from '@postern/contracts';

import { connected, stateOf, the, tokenEndsMs } from '../spec-support/states.ts';
import { ClaimWatch, type StandingClaim } from './claim-watch.ts';

const { claimTimeoutMs } = limits;
const { ackWaitMs } = consumers.refreshWorker;
const subject = 'connection.1.ten_a.con_a';

function watch() {
  const clock = { ms: 1_000, monotonicMs: () => clock.ms };
  return { clock, watch: new ClaimWatch(clock as never, { claimTimeoutMs } as never) };
}
const standing = (more: Partial<StandingClaim['claim']> = {}, atMs = tokenEndsMs): StandingClaim => ({
  subject,
  claim: {
    claimId: 'clm_a',
    credentialVersion: 1,
    expiresAtMs: tokenEndsMs + claimTimeoutMs,
    released: true,
    ...more,
  },
  atMs,
});
const entry = (state: Connection) =>
  ({ subject, commit: { state, stateVersion: connectionEvolver.stateVersion } }) as unknown as LogEntry;

describe('whose clock ends a claim', () => {
  test('a claim is over when it was watched for longer than its time, not before', () => {
    const { clock, watch: claims } = watch();
    expect(claims.remainingMs(standing())).toBe(claimTimeoutMs);
    clock.ms += claimTimeoutMs - 1;
    expect(claims.remainingMs(standing())).toBe(1);
    clock.ms += 1;
    expect(claims.remainingMs(standing())).toBe(0);
  });

  test.each([
    ['an hour ahead', 3_600_000],
    ['an hour behind', -3_600_000],
  ])('a writer whose wall clock is %s neither steals nor immortalizes a claim', (_name, skewMs) => {
    const { watch: claims } = watch();
    const skewed = standing({ expiresAtMs: tokenEndsMs + skewMs + claimTimeoutMs }, tokenEndsMs + skewMs);
    expect(claims.remainingMs(skewed)).toBe(claimTimeoutMs);
  });

  test('a writer with longer claims is given its time, up to the wait for an acknowledgement', () => {
    const { watch: claims } = watch();
    expect(claims.remainingMs(standing({ expiresAtMs: tokenEndsMs + claimTimeoutMs + 1 }))).toBe(claimTimeoutMs + 1);
    expect(claims.remainingMs(standing({ claimId: 'clm_b', expiresAtMs: tokenEndsMs + 4_000_000 }))).toBe(ackWaitMs);
  });

  test('the feed shows a claim from its first moment', () => {
    const { clock, watch: claims } = watch();
    const state = stateOf([...connected, the.claimed()]);
    claims.observe(entry(state));
    clock.ms += 7_000;
    claims.observe(entry(stateOf([...connected, the.claimed(), the.released])));
    expect(claims.remainingMs({ subject, claim: state.claim!, atMs: tokenEndsMs })).toBe(claimTimeoutMs - 7_000);
  });

  test('another claim is watched anew', () => {
    const { clock, watch: claims } = watch();
    claims.remainingMs(standing());
    clock.ms += claimTimeoutMs;
    expect(claims.remainingMs(standing({ claimId: newId('claim') }))).toBe(claimTimeoutMs);
  });

  test('what has ended is forgotten', () => {
    const { watch: claims } = watch();
    claims.observe(entry(stateOf([...connected, the.claimed()])));
    expect(claims.size).toBe(1);
    claims.observe(entry(stateOf([...connected, the.claimed(), the.released, the.refreshed()])));
    expect(claims.size).toBe(0);
  });
});
