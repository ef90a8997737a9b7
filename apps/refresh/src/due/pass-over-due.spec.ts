import { newId, subjects, type RefreshDue } from '@postern/contracts';
import { PassOver } from '@postern/service';

import type { Pace } from '../pace/pace.ts';
import { PassOverDue } from './pass-over-due.ts';

const tenantId = newId('tenant');
const subject = subjects.refreshDue({ tenantId, connectionId: newId('connection') });

/** What is asked of the pace, of a due message that says this reason. */
function askedFor(reason: RefreshDue['reason']) {
  const passOver = new PassOver();
  const asked: unknown[] = [];
  const passOverMs = (...question: unknown[]) => void asked.push(question);
  new PassOverDue(passOver, { passOverMs } as unknown as Pace);
  const payload: RefreshDue = { reason, credential_version: 1, position: 7 };
  passOver.lookOf('refreshWorker')?.(subject, Buffer.from(JSON.stringify(payload)));
  return asked;
}

test('what is planned waits its turn, what somebody waits for does not, each as its tenant’s', () => {
  expect(askedFor('scheduled')).toEqual([[tenantId, false]]);
  for (const reason of ['requested', 'expired'] as const) expect(askedFor(reason)).toEqual([[tenantId, true]]);
});
