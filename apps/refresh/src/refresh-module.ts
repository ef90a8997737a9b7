import { Module } from '@nestjs/common';
import type { ServiceDefinition } from '@postern/service';

import { ClaimWatch } from './claim/claim-watch.ts';
import { TakeClaim } from './claim/take-claim.ts';
import { TakeOver } from './claim/take-over.ts';
import { ConnectionFeed } from './connection-feed.ts';
import { Connections } from './connections.ts';
import { DueMessages } from './due/due-messages.ts';
import { WorkDue } from './due/work-due.ts';
import { Pace } from './pace/pace.ts';
import { RefreshConfig } from './refresh-config.ts';
import { RefreshConnection } from './request/refresh-connection.ts';
import { RefreshFlights } from './request/refresh-flights.ts';
import { KeepBought } from './spend/keep-bought.ts';
import { OutcomeLog } from './spend/outcome-log.ts';
import { ProviderClients } from './spend/provider-clients.ts';
import { ReleasedTokens } from './spend/released-tokens.ts';
import { SpendClaim } from './spend/spend-claim.ts';

/** Spends refresh tokens, one claim at a time. */
@Module({
  controllers: [WorkDue],
  providers: [
    Connections,
    ClaimWatch,
    ConnectionFeed,
    DueMessages,
    Pace,
    RefreshFlights,
    RefreshConnection,
    TakeClaim,
    TakeOver,
    ProviderClients,
    ReleasedTokens,
    OutcomeLog,
    KeepBought,
    SpendClaim,
  ],
})
export class RefreshModule {}

/** `postern serve refresh`. */
export const refreshService: ServiceDefinition = { app: 'refresh', module: RefreshModule, config: RefreshConfig };
