import { Module } from '@nestjs/common';

import { AdminFeed } from './admin-feed.ts';
import { AccountIndex } from './accounts/account-index.ts';
import { AccountRows } from './accounts/account-rows.ts';
import { RevocationDatabase } from './accounts/revocation-database.ts';
import { Confirmation } from './confirmation/confirmation.ts';
import { VaultRoster } from './confirmation/vault-roster.ts';
import { ConnectionCommands } from './connection-commands.ts';
import { Connections } from './connections.ts';
import { DeleteConnection } from './delete-connection/delete-connection.ts';
import { Directory } from './directory.ts';
import { InspectGrant } from './inspections/inspect-grant.ts';
import { InspectionRows } from './inspections/inspection-rows.ts';
import { ListInspections } from './inspections/list-inspections.ts';
import { PollGrants } from './inspections/poll-grants.ts';
import { AskProvider } from './inquiry/ask-provider.ts';
import { ReportRejection } from './rejections/report-rejection.ts';
import { WeighRejection } from './rejections/weigh-rejection.ts';
import { RevokeConnection } from './revoke-connection/revoke-connection.ts';
import { PollTransmitters } from './security-events/poll-transmitters.ts';
import { SetIntake } from './security-events/set-intake.ts';
import { SetRoute } from './security-events/set-route.ts';
import { TransmitterBearers } from './security-events/transmitter-bearers.ts';
import { TransmitterKeys } from './security-events/transmitter-keys.ts';
import { Transmitters } from './security-events/transmitters.ts';
import { VerifyStream } from './security-events/verify-stream.ts';
import { Bridges } from './signals/bridges.ts';
import { DecideSignals } from './signals/decide-signals.ts';
import { ListSignals } from './signals/list-signals.ts';
import { ReadSignal } from './signals/read-signal.ts';
import { WeighSignal } from './signals/weigh-signal.ts';
import { WeighedSignals } from './signals/weighed-signals.ts';
import { EndsWithSiblings } from './siblings/end-with-siblings.ts';
import { Siblings } from './siblings/siblings.ts';
import { SuspendConnection } from './suspend-connection/suspend-connection.ts';
import { ProviderClients } from './provider/provider-clients.ts';
import { ProviderFiles } from './provider/provider-files.ts';
import { UpstreamDebt } from './upstream-revocation/upstream-debt.ts';
import { UpstreamRevocation } from './upstream-revocation/upstream-revocation.ts';
import { VaultSecrets } from './provider/vault-secrets.ts';
import { Registrations } from './registrations.ts';
import { SignalStore } from './signals/signal-store.ts';
import { WebhookIntake } from './webhooks/webhook-intake.ts';
import { WebhookRoute } from './webhooks/webhook-route.ts';
import { WebhookSecrets } from './webhooks/webhook-secrets.ts';

@Module({
  controllers: [UpstreamRevocation, DecideSignals],
  providers: [
    Connections,
    Directory,
    ConnectionCommands,
    VaultRoster,
    Confirmation,
    Siblings,
    EndsWithSiblings,
    RevokeConnection,
    SuspendConnection,
    DeleteConnection,
    VaultSecrets,
    ProviderClients,
    UpstreamDebt,
    AdminFeed,
    ProviderFiles,
    Registrations,
    WebhookSecrets,
    SignalStore,
    WebhookIntake,
    WebhookRoute,
    Transmitters,
    TransmitterKeys,
    SetIntake,
    SetRoute,
    TransmitterBearers,
    PollTransmitters,
    VerifyStream,
    RevocationDatabase,
    AccountRows,
    AccountIndex,
    Bridges,
    ReadSignal,
    AskProvider,
    ReportRejection,
    WeighRejection,
    WeighSignal,
    WeighedSignals,
    ListSignals,
    InspectionRows,
    InspectGrant,
    PollGrants,
    ListInspections,
  ],
})
export class RevocationModule {}
