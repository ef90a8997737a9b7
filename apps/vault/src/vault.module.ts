import { Module } from '@nestjs/common';
import { connectionEvolver, upcast } from '@postern/domain';
import { CommitReader } from '@postern/event-log';
import { EventLogs, ServiceKeys } from '@postern/service';

import { CiphertextAlarm } from './ciphertext-alarm.ts';
import { ConfirmPosition } from './confirm-position/confirm-position.ts';
import { ConnectionFeed } from './connection-feed.ts';
import { Connections } from './connections.ts';
import { Credentials } from './credentials.ts';
import { DataKeys, KeyServiceHolder } from './data-keys.ts';
import { DeviceCodeOperations } from './device-code/device-code-operations.ts';
import { Directory } from './directory.ts';
import { Delegations } from './exchange/delegations.ts';
import { ExchangeTokens } from './exchange/exchange-tokens.ts';
import { FindCredential } from './find-credential/find-credential.ts';
import { KeyServiceWatch } from './key-service-watch.ts';
import { configuredKeyService } from './key-services.ts';
import { KeyOperations } from './keys/key-operations.ts';
import { Rewrap } from './keys/rewrap.ts';
import { RotateDataKey } from './keys/rotate-data-key.ts';
import { LeaseRecords } from './lease/lease-records.ts';
import { LeaseToken } from './lease/lease-token.ts';
import { RefreshAsker } from './lease/refresh-asker.ts';
import { OwnedSecrets } from './owned-secrets.ts';
import { PendingCredentials } from './pending-credentials.ts';
import { PendingSweeper } from './pending-sweeper.ts';
import { PromoteCredential } from './promote-credential/promote-credential.ts';
import { EndpointSecretOperations } from './endpoint-secrets/endpoint-secret-operations.ts';
import { RegistrationSecretOperations } from './registration-secrets/registration-secret-operations.ts';
import { RegistrationSecrets } from './registration-secrets/registration-secrets.ts';
import { ReleaseRefreshToken } from './release-refresh-token/release-refresh-token.ts';
import { ReleaseRevokedTokens } from './release-revoked-tokens/release-revoked-tokens.ts';
import { ReleaseForExchange } from './release-for-exchange/release-for-exchange.ts';
import { ReleaseForInspection } from './release-for-inspection/release-for-inspection.ts';
import { ReleaseSuspectedToken } from './release-suspected-token/release-suspected-token.ts';
import { SealedRows } from './sealed-rows.ts';
import { ShredKey } from './shred-key/shred-key.ts';
import { Shredder } from './shred-key/shredder.ts';
import { GrantAssertions } from './sign-assertion/grant-assertions.ts';
import { SignAssertion } from './sign-assertion/sign-assertion.ts';
import { SignGrantAssertion } from './sign-assertion/sign-grant-assertion.ts';
import { SignDpopProof } from './sign-dpop-proof/sign-dpop-proof.ts';
import { SignRequestObject } from './sign-request-object/sign-request-object.ts';
import { StoreCredential } from './store-credential/store-credential.ts';
import { VaultConfig } from './vault-config.ts';
import { VaultDatabase } from './vault-database.ts';
import { vaultLimits } from './vault-limits.ts';

const connections = {
  provide: Connections,
  inject: [EventLogs, CommitReader, ServiceKeys],
  useFactory: (logs: EventLogs, reader: CommitReader, keys: ServiceKeys) =>
    new Connections({
      log: logs.connections,
      evolver: connectionEvolver,
      reader,
      signer: keys.signer,
      upcast,
      source: '/postern/vault',
      cacheEntriesMax: vaultLimits.connectionsCachedMax,
    }),
};

const keyService = {
  provide: KeyServiceHolder,
  inject: [VaultConfig],
  useFactory: async (config: VaultConfig) => new KeyServiceHolder(await configuredKeyService(config)),
};

/** The vault: Nest gives it lifecycle, and stands in no request's way. */
@Module({
  providers: [
    VaultDatabase,
    connections,
    keyService,
    KeyServiceWatch,
    ConnectionFeed,
    Directory,
    CiphertextAlarm,
    SealedRows,
    DataKeys,
    Credentials,
    PendingCredentials,
    PendingSweeper,
    DeviceCodeOperations,
    LeaseRecords,
    RefreshAsker,
    Delegations,
    ExchangeTokens,
    LeaseToken,
    StoreCredential,
    PromoteCredential,
    FindCredential,
    ReleaseRefreshToken,
    ReleaseRevokedTokens,
    ReleaseSuspectedToken,
    ReleaseForInspection,
    ReleaseForExchange,
    OwnedSecrets,
    RegistrationSecrets,
    RegistrationSecretOperations,
    EndpointSecretOperations,
    GrantAssertions,
    SignAssertion,
    SignGrantAssertion,
    SignDpopProof,
    SignRequestObject,
    ConfirmPosition,
    Shredder,
    ShredKey,
    RotateDataKey,
    Rewrap,
    KeyOperations,
  ],
})
export class VaultModule {}
