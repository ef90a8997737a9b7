import { Injectable } from '@nestjs/common';
import { aggregateOf } from '@postern/event-log';
import { EventLogs } from '@postern/service';

/** Every tenant there ever was, from the log: behind the wall nobody can ask the tables whose rows they hold. */
@Injectable()
export class Tenants {
  constructor(private readonly logs: EventLogs) {}

  async all(): Promise<string[]> {
    const found: string[] = [];
    for await (const { subject } of this.logs.admin.read({ filter: 'admin.>', lastPerSubject: true })) {
      const aggregate = aggregateOf(subject);
      if (aggregate?.kind === 'tenant') found.push(aggregate.tenantId);
    }
    return found;
  }
}
