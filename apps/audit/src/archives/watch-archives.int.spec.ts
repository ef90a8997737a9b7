import { newId, timestampOf } from '@postern/contracts';
import { waitFor } from '@postern/testing';

import { SpecPast } from '../questions/spec-past.ts';

const patience = { timeoutMs: 60_000 };
const platformId = newId('platform');
let past: SpecPast;
let connectionId = '';

beforeAll(async () => {
  past = await SpecPast.start();
  connectionId = await past.connect({ platformId, registrationId: newId('registration'), scopes: ['read'] });
  await past.record({ connectionId, platformId, agentId: newId('agent') });
}, 120_000);
afterAll(() => past.stop());

/** What `/metrics` of a running audit tells, once it has looked. */
async function overdue(stream: string): Promise<number> {
  const line = new RegExp(`^postern_audit_archive_overdue_seconds\\{stream="${stream}"\\} (.*)$`, 'm');
  return Number(line.exec(await past.metrics())?.[1] ?? Number.NaN);
}
const becomes = (stream: string, isSo: (seconds: number) => boolean) =>
  waitFor(async () => isSo(await overdue(stream)), {
    ...patience,
    describe: async () => `${stream} to be told, which is ${await overdue(stream)} s at ${timestampOf(Date.now())}`,
  });

test('what should have been archived and dropped is told, until it is', async () => {
  await becomes('CONNECTIONS', (seconds) => seconds === 0);
  await becomes('ACCESS', (seconds) => seconds === 0);
  const policy = { POSTERN_EPOCH_MAX_AGE: '1ms', POSTERN_ACCESS_MAX_AGE: '1ms' };
  await past.restartAudit(past.archiveDir, policy);
  await becomes('CONNECTIONS', (seconds) => seconds > 0);
  await becomes('ACCESS', (seconds) => seconds > 0);

  // A closed epoch is told without any policy.
  const closed = await past.close([connectionId]);
  await past.restartAudit();
  await becomes('CONNECTIONS', (seconds) => seconds > 0);
  await becomes('ACCESS', (seconds) => seconds === 0);
  await past.archive(closed);
  await past.restartAudit(past.archiveDir, { POSTERN_ACCESS_MAX_AGE: '1ms' });
  await becomes('CONNECTIONS', (seconds) => seconds === 0);
  await becomes('ACCESS', (seconds) => seconds === 0);
});
