import { claimId, connected, connectionId, stateOf, tenantId, the, tokenEndsMs } from '../spec-support/states.ts';
import { reasonOf } from './take-claim.ts';

const due = { tenantId, connectionId, reason: 'requested', credentialVersion: 1, position: 7 } as const;
const failing = stateOf([...connected, the.claimed({ claimId }), the.failed(tokenEndsMs)]);

test('a request hurries once: after an attempt has failed since, it waits like everyone', () => {
  expect(reasonOf(due, { state: failing, position: 7 })).toBe('requested');
  expect(reasonOf(due, { state: failing, position: 9 })).toBe('retry');
  expect(reasonOf(due, { state: stateOf(connected), position: 9 })).toBe('requested');
  expect(reasonOf({ ...due, reason: 'scheduled' }, { state: failing, position: 7 })).toBe('retry');
  expect(reasonOf({ ...due, reason: 'scheduled' }, { state: stateOf(connected), position: 9 })).toBe('scheduled');
  expect(reasonOf({ ...due, reason: 'expired' }, { state: failing, position: 7 })).toBe('expired');
});
