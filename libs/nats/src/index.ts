export { accessGroupLimits, AccessGroupWriter, type AccessGroupWriterOptions } from './access-group-writer.ts';
export { acknowledgedUpTo } from './acknowledged-up-to.ts';
export { Bus, connectBus, type BusOptions, type BusStatus } from './bus.ts';
export { callHeaders } from './call-headers.ts';
export {
  callEvery,
  callOperation,
  type CallAs,
  type CallEveryOptions,
  type CallOptions,
  type RequestInput,
} from './call-operation.ts';
export { checkDurability, checkServer } from './check-server.ts';
export { checkStreams } from './check-streams.ts';
export { systemClocks, type ClockReading, type Clocks } from './clock-reading.ts';
export { importMessages, type ImportOptions } from './import-messages.ts';
export { instancesOf, type ServiceInstance } from './instances.ts';
export { JetStreamEventLog, type JetStreamEventLogOptions } from './jetstream-event-log.ts';
export { dropBeginning, openEpoch, readEpochs, type DropOptions, type LogEpochs } from './log-epochs.ts';
export { lastMessages } from './last-messages.ts';
export { JetStreamWorker, type JetStreamWorkerOptions, type WorkMessage } from './jetstream-worker.ts';
export { endpoint, type Call, type Endpoint } from './operation-endpoint.ts';
export {
  createOperator,
  revokePlatformUsers,
  withCurrentCrossings,
  serverOperatorConfig,
  type AccountKeys,
  type OperatorBundle,
  type RevokeOptions,
  type ServerOperatorConfig,
} from './operator.ts';
export { provision, type Provisioned, type ProvisionOptions } from './provision.ts';
export { publishMessage, type MessageToPublish } from './publish-message.ts';
export { keepRenewed, lifeOf, type RenewalOptions } from './renew-credentials.ts';
export { serveOperations, type ServedOperations, type ServeOptions } from './serve-operations.ts';
export { updateAccount } from './update-account.ts';
export {
  bridgeCreds,
  identityCreds,
  importerCreds,
  platformCreds,
  systemCreds,
  type CredentialOptions,
  type IssuedCredentials,
} from './user-credentials.ts';
