import { limits } from '@postern/contracts';

import { brokenTimes } from './refresh-config.ts';

test('a claim outlives its calls, and ends before its due message comes again', () => {
  const { claimTimeoutMs, providerTimeoutMs, refreshAckWaitMs } = limits;
  expect(brokenTimes({ claimTimeoutMs, providerTimeoutMs })).toBeUndefined();
  expect(brokenTimes({ claimTimeoutMs: 2 * providerTimeoutMs, providerTimeoutMs })).toContain('must lie between');
  expect(brokenTimes({ claimTimeoutMs: refreshAckWaitMs, providerTimeoutMs })).toContain('must lie between');
});
