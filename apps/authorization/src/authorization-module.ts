import { Module } from '@nestjs/common';

import { Arrival } from './callback/arrival.ts';
import { CallbackController } from './callback/callback-controller.ts';
import { PendingTokens } from './callback/pending-tokens.ts';
import { CheckRegistration } from './check-registration/check-registration.ts';
import { ClientDocumentController } from './client-document/client-document-controller.ts';
import { ClientDocuments } from './client-document/client-documents.ts';
import { Completion } from './complete-session/completion.ts';
import { CompleteSession } from './complete-session/complete-session.ts';
import { ConnectController } from './connect-page/connect-controller.ts';
import { Departure } from './connect-page/departure.ts';
import { PageSubjects } from './connect-page/page-subjects.ts';
import { BeginDevice } from './device/begin-device.ts';
import { DeviceCodes } from './device/device-codes.ts';
import { DevicePoller } from './device/device-poller.ts';
import { UserCodePages } from './device/user-code-pages.ts';
import { Digests } from './digests.ts';
import { Directory } from './directory/directory.ts';
import { ExamineRows } from './import-connections/examine-rows.ts';
import { ImportConnections } from './import-connections/import-connections.ts';
import { MeetResource } from './meet-resource/meet-resource.ts';
import { Establish } from './establish/establish.ts';
import { GrantAssertions } from './establish/grant-assertions.ts';
import { Ways } from './establish/ways.ts';
import { ExchangePartiesReader } from './establish/exchange-parties.ts';
import { IdentityAssertions } from './establish/identity-assertions.ts';
import { ShownTokensReader } from './establish/shown-tokens.ts';
import { ProviderClients } from './providers/provider-clients.ts';
import { Connections } from './sessions/connections.ts';
import { SessionIndex } from './sessions/session-index.ts';
import { MayUse } from './start-session/may-use.ts';
import { Reauthorization } from './start-session/reauthorization.ts';
import { SessionStarter } from './start-session/session-starter.ts';
import { StartSession } from './start-session/start-session.ts';

@Module({
  controllers: [ConnectController, CallbackController, ClientDocumentController],
  providers: [
    Arrival,
    BeginDevice,
    CheckRegistration,
    ClientDocuments,
    CompleteSession,
    Completion,
    Connections,
    Departure,
    DeviceCodes,
    DevicePoller,
    Digests,
    Directory,
    ExamineRows,
    ImportConnections,
    MayUse,
    MeetResource,
    Establish,
    ExchangePartiesReader,
    ShownTokensReader,
    IdentityAssertions,
    GrantAssertions,
    PageSubjects,
    PendingTokens,
    ProviderClients,
    Reauthorization,
    SessionIndex,
    SessionStarter,
    StartSession,
    UserCodePages,
    Ways,
  ],
})
export class AuthorizationModule {}
