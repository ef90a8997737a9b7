import { streamFilters } from '@postern/contracts';
import { MemoryEventLog, type BoundedReadRequest, type EventLog, type StoredMessage } from '@postern/event-log';
import type { EventLogs } from '@postern/service';

import type { AuditConfig } from '../audit-config.ts';
import { FollowedLogs } from './followed-logs.ts';
import { PastLogs } from './past-logs.ts';

class WatchedLog extends MemoryEventLog {
  sent = 0;

  override async *read(request: BoundedReadRequest): AsyncIterable<StoredMessage> {
    for await (const message of super.read(request)) {
      this.sent += 1;
      yield message;
    }
  }
}

test.each(['connections', 'access'] as const)(
  'what stands new in %s is sent once for tables and checkpoints; a question reads by itself',
  async (stream) => {
    const logs = { connections: new WatchedLog(), access: new WatchedLog(), admin: new WatchedLog() };
    const subject = stream === 'connections' ? 'connection.1.ten.con' : 'access.ten.vault';
    for (let messages = 0; messages < 500; messages += 1) {
      logs[stream].put({ subject, payload: Uint8Array.of(1), headers: {} });
    }
    const past = new PastLogs(logs as unknown as EventLogs, {} as AuditConfig);
    const followed = new FollowedLogs(logs as unknown as EventLogs, past);
    const filter = streamFilters[stream];
    const read = async (log: EventLog) => {
      let messages = 0;
      for await (const { position } of log.read({ filter })) messages = position;
      return messages;
    };
    expect(await Promise.all([read(followed.standing[stream]), read(followed.whole[stream])])).toEqual([500, 500]);
    expect(logs[stream].sent).toBe(500);
    expect(await Promise.all([read(followed.standing[stream]), read(past[stream])])).toEqual([500, 500]);
    expect(logs[stream].sent).toBe(1_500);
  },
);
