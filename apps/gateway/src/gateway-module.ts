import { Module } from '@nestjs/common';
import type { ServiceDefinition } from '@postern/service';

import { AuditController } from './audit/audit-controller.ts';
import { ConnectionsController } from './connections/connections-controller.ts';
import { DocumentsController } from './documents/documents-controller.ts';
import { GatewayConfig } from './gateway-config.ts';
import { PlatformHealthController } from './health/health-controller.ts';
import { LeaseController } from './lease/lease-controller.ts';
import { Platforms } from './platforms.ts';
import { SessionsController } from './sessions/sessions-controller.ts';
import { PlatformGuard } from './token/caller.ts';
import { ClientCredentials } from './token/client-credentials.ts';
import { PlatformToken } from './token/platform-token.ts';
import { TokenController } from './token/token-controller.ts';

@Module({
  controllers: [
    TokenController,
    SessionsController,
    LeaseController,
    ConnectionsController,
    AuditController,
    PlatformHealthController,
    DocumentsController,
  ],
  providers: [Platforms, ClientCredentials, PlatformToken, PlatformGuard],
})
export class GatewayModule {}

/** `postern serve gateway`. */
export const gatewayService: ServiceDefinition = { app: 'gateway', module: GatewayModule, config: GatewayConfig };
