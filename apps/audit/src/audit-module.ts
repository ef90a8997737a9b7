import { Module } from '@nestjs/common';
import type { ServiceDefinition } from '@postern/service';

import { AuditConfig } from './audit-config.ts';
import { KeepCheckpoints } from './checkpoints/keep-checkpoints.ts';
import { ConnectionLog } from './connection-log.ts';
import { TellOwner } from './notices/tell-owner.ts';
import { ListConnections } from './questions/list-connections.ts';
import { ListEvents } from './questions/list-events.ts';
import { ShowConnection } from './questions/show-connection.ts';
import { WatchLog } from './watch/watch-log.ts';

@Module({
  controllers: [TellOwner],
  providers: [ConnectionLog, ShowConnection, ListConnections, ListEvents, WatchLog, KeepCheckpoints],
})
export class AuditModule {}

/** `postern serve audit`. */
export const auditService: ServiceDefinition = { app: 'audit', module: AuditModule, config: AuditConfig };
