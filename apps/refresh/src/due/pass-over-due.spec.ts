import { newId, subjects, type RefreshDue } from '@postern/contracts';
import { PassOver } from '@postern/service';

import type { Pace } from '../pace/pace.ts';
import { PassOverDue } from './pass-over-due.ts';

const tenantId = newId('tenant');
const subject = subjects.refreshDue({ tenantId, connectionId: newId('connection') });

/** What is asked of the pace, of a due message that says this. */
function askedFor(said: Pick<RefreshDue, 'reason' | 'due_at_ms'>) {
  const passOver = new PassOver();
  const asked: unknown[] = [];
  const passOverMs = (...question: unknown[]) => void asked.push(question);
  new PassOverDue(passOver, { passOverMs } as unknown as Pace);
  const payload: RefreshDue = { credential_version: 1, position: 7, ...said };
  passOver.lookOf('refreshWorker')?.(subject, Buffer.from(JSON.stringify(payload)));
  return asked;
}

test('what is planned waits its turn, what somebody waits for does not, each as its tenant’s', () => {
  expect(askedFor({ reason: 'scheduled', due_at_ms: 1_800_000_000_123 })).toEqual([[tenantId, 1_800_000_000_123]]);
  expect(askedFor({ reason: 'scheduled' })).toEqual([[tenantId, 0]]);
  for (const reason of ['requested', 'expired'] as const) {
    expect(askedFor({ reason, due_at_ms: 1_800_000_000_123 })).toEqual([[tenantId, 'awaited']]);
  }
});
