import { Module } from '@nestjs/common';
import type { ServiceDefinition } from '@postern/service';

import { WatchArchives } from './archives/watch-archives.ts';
import { AuditConfig } from './audit-config.ts';
import { KeepCheckpoints } from './checkpoints/keep-checkpoints.ts';
import { ConnectionLog } from './connection-log.ts';
import { ClockRulesOf } from './health/clock-rules.ts';
import { HealthRows } from './health/health-rows.ts';
import { TellHealth } from './health/tell-health.ts';
import { AuditDatabase } from './models/audit-database.ts';
import { Projections } from './models/projections.ts';
import { TellProjections } from './models/tell-projections.ts';
import { Tenants } from './models/tenants.ts';
import { TellOwner } from './notices/tell-owner.ts';
import { Appearances } from './past/appearances.ts';
import { FollowedLogs } from './past/followed-logs.ts';
import { Past } from './past/past.ts';
import { PastLogs } from './past/past-logs.ts';
import { ConnectionScopes } from './questions/connection-scopes.ts';
import { Diff } from './questions/diff.ts';
import { ListConnections } from './questions/list-connections.ts';
import { ListEvents } from './questions/list-events.ts';
import { ShowConnection } from './questions/show-connection.ts';
import { WhoCould } from './questions/who-could.ts';
import { WhoDid } from './questions/who-did.ts';
import { WatchLog } from './watch/watch-log.ts';

@Module({
  controllers: [TellOwner],
  providers: [
    ConnectionLog,
    ShowConnection,
    ListConnections,
    ListEvents,
    Appearances,
    PastLogs,
    FollowedLogs,
    Past,
    WhoDid,
    ConnectionScopes,
    WhoCould,
    Diff,
    WatchLog,
    KeepCheckpoints,
    WatchArchives,
    ...[AuditDatabase, Tenants, Projections, TellProjections, HealthRows, ClockRulesOf, TellHealth],
  ],
})
export class AuditModule {}

/** `postern serve audit`. */
export const auditService: ServiceDefinition = { app: 'audit', module: AuditModule, config: AuditConfig };
