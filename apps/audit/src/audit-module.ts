import { Module } from '@nestjs/common';
import { ServiceConfig, type ServiceDefinition } from '@postern/service';

import { ConnectionLog } from './connection-log.ts';
import { TellOwner } from './notices/tell-owner.ts';
import { ListConnections } from './questions/list-connections.ts';
import { ListEvents } from './questions/list-events.ts';
import { ShowConnection } from './questions/show-connection.ts';
import { WatchLog } from './watch/watch-log.ts';

@Module({
  controllers: [TellOwner],
  providers: [ConnectionLog, ShowConnection, ListConnections, ListEvents, WatchLog],
})
export class AuditModule {}

/** `postern serve audit`. */
export const auditService: ServiceDefinition = { app: 'audit', module: AuditModule, config: ServiceConfig };
