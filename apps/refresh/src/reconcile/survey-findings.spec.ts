import { connected, stateOf, the, tokenEndsMs, whileItLives } from '../spec-support/states.ts';
import { scheduleLimits } from '../schedule/schedule-limits.ts';
import { SurveyFindings } from './survey-findings.ts';

const nowMs = whileItLives;
const plan = (atMs: number) => ({ clock: 'access_token', atMs, credentialVersion: 1 }) as const;
const healthy = stateOf(connected);
const failing = stateOf([...connected, the.claimed(), the.failed(tokenEndsMs)]);

test('what is due is told from what is late, and from what is to come', () => {
  const findings = new SurveyFindings(nowMs);
  findings.add(healthy, plan(nowMs + 1), { fits: true });
  findings.add(healthy, plan(nowMs), { fits: true });
  findings.add(healthy, plan(nowMs - scheduleLimits.lateAfterMs), { fits: false });
  findings.add(healthy, undefined, { fits: true });
  expect(findings.told()).toMatchObject({ connections: 4, scheduled: 3, due: 2, late: 1, unscheduled: 1, failing: [] });
});

test('who fails is told by provider, with the reasons, the first of its troubles and the soonest attempt', () => {
  const findings = new SurveyFindings(nowMs);
  findings.add(failing, plan(tokenEndsMs), { fits: true });
  findings.add(failing, plan(tokenEndsMs), { fits: true });
  const [one, ...others] = findings.told().failing;
  expect(others).toEqual([]);
  expect(one).toEqual({
    provider: 'openid-connect',
    connections: 2,
    since: new Date(whileItLives).toISOString(),
    next_attempt_at: new Date(tokenEndsMs).toISOString(),
    reasons: [{ reason: 'http_500', connections: 2 }],
  });
});

test('nothing is told as nothing', () => {
  expect(new SurveyFindings(nowMs).told()).toMatchObject({ connections: 0, next_due_at: null, failing: [] });
});
