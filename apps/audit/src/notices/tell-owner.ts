import { Controller } from '@nestjs/common';
import { streams, subjects } from '@postern/contracts';
import type { WorkMessage } from '@postern/nats';
import { Bus, publishMessage } from '@postern/nats';
import { Logger, outgoingHeaders, Works } from '@postern/service';

import { ConnectionLog } from '../connection-log.ts';
import { noticesOf } from './notices-of.ts';

/**
 * Tells owners what happened to their connections, from a durable consumer over the log: a crash between a decision
 * and its notification loses nothing, and a redelivery tells nobody twice.
 */
@Controller()
export class TellOwner {
  constructor(
    private readonly log: ConnectionLog,
    private readonly bus: Bus,
    private readonly logger: Logger,
  ) {}

  @Works('ownerNotices', { parses: false })
  async tell(_payload: unknown, message: WorkMessage): Promise<void> {
    const read = this.log.reader.read(message);
    // What is not a commit is counted and alarmed by the watch over the whole log; owners hear nothing of it.
    if (read.kind !== 'commit') return;
    const { entry } = read;
    const { tenantId, aggregateId: id } = entry.commit;
    const after = await this.log.repository.at({ tenantId, id }, entry.position);
    const before = await this.log.repository.at({ tenantId, id }, entry.position - 1);
    const reauthorizeUrl = this.log.reauthorizeUrl(id);
    for (const notice of noticesOf({ entry, before: before.state, after: after.state, reauthorizeUrl })) {
      await publishMessage(this.bus, {
        stream: streams.notifications.name,
        subject: subjects.notify({ tenantId, type: notice.type }),
        payload: notice,
        messageId: notice.id,
        headers: outgoingHeaders(),
      });
      this.logger.info('owner told', { type: notice.type, tenantId, connectionId: id });
    }
  }
}
