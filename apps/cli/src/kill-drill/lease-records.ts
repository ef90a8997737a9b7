import { readFileSync } from 'node:fs';

import { AccessGroup, subjects, type AccessRecord } from '@postern/contracts';
import { connectBus, JetStreamEventLog } from '@postern/nats';

import type { World } from '../demo/world.ts';
import type { ReceivedLease } from './clients.ts';

/** What clients received, and what stands in ACCESS. */
export interface LeaseCount {
  readonly overNats: number;
  readonly overHttp: number;
  readonly recordedGranted: number;
  readonly recordedRefused: number;
}

/**
 * Compares the leases whose tokens clients received with every record in ACCESS.
 *
 * @throws when one has no record that it was granted, or one that names another connection.
 */
export async function leasesAgainstRecords(world: World, received: readonly ReceivedLease[]): Promise<LeaseCount> {
  const records = await recordsOf(world);
  const ofOutcome = (wanted: AccessRecord['outcome']) =>
    new Map(records.filter(({ outcome }) => outcome === wanted).map((record) => [record.leaseId, record]));
  const granted = ofOutcome('granted');
  const missing = received.filter(({ leaseId }) => granted.get(leaseId)?.connectionId !== world.connectionId);
  if (missing.length > 0) {
    const named = missing.map(({ leaseId, over }) => `${leaseId} (${over})`).join(', ');
    throw new Error(`${missing.length} of ${received.length} leases that a client received have no record: ${named}`);
  }
  return {
    overNats: received.filter(({ over }) => over === 'NATS').length,
    overHttp: received.filter(({ over }) => over === 'HTTP').length,
    recordedGranted: granted.size,
    recordedRefused: ofOutcome('refused').size,
  };
}

/** Every record, read with the one identity that may. */
async function recordsOf({ stack, session }: World): Promise<AccessRecord[]> {
  const creds = readFileSync(session.folder.credsFile('audit'), 'utf8');
  const bus = await connectBus({ servers: stack.natsUrl, creds, identity: 'audit', name: 'drill audit' });
  try {
    const records: AccessRecord[] = [];
    for await (const { payload } of new JetStreamEventLog({ bus, stream: 'access' }).read({
      filter: subjects.allAccess,
    })) {
      records.push(...AccessGroup.parse(JSON.parse(Buffer.from(payload).toString('utf8'))).records);
    }
    return records;
  } finally {
    await bus.close();
  }
}
