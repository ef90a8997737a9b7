import type { Caller, ConsumerKey, IdentityName, OperationKey, StreamKey } from '@postern/contracts';

/**
 * Who may say what, stated a second time and by hand: the table in libs/contracts must come to the same, and a server
 * must enforce it. What is new in the contracts has no row here until somebody has thought about who may use it.
 */

const everybodyWhoDecides = ['authorization', 'vault', 'refresh', 'revocation', 'audit', 'administrator'] as const;

/** Who appends, by the subjects that a stream takes. */
export const appenders: Readonly<Record<StreamKey, Readonly<Record<string, readonly IdentityName[]>>>> = {
  connections: { 'connection.*.*.*': ['authorization', 'vault', 'refresh', 'revocation'] },
  admin: { 'admin.*.*.*': ['administrator'] },
  // Only its own: the middle token names the service.
  access: { 'access.*.*': ['vault'] },
  checkpoints: { 'checkpoint.*': ['audit'] },
  refresh: { 'refresh.schedule.*.*': ['refresh'], 'refresh.due.*.*': ['refresh'] },
  signals: { 'signal.*.*.*': ['revocation'] },
  notifications: { 'notify.>': ['audit'] },
};

/** Who appends to a part of a stream alone, beside those above. Webhooks say themselves that they are gone. */
export const narrowAppenders: Readonly<Record<string, readonly IdentityName[]>> = {
  'admin.*.webhook.*': ['administrator', 'notifier'],
  'notify.*.webhook.disabled': ['audit', 'notifier'],
};

export const followers: Readonly<Record<StreamKey, readonly IdentityName[]>> = {
  connections: everybodyWhoDecides,
  admin: ['gateway', 'notifier', ...everybodyWhoDecides],
  access: ['audit'],
  checkpoints: ['audit', 'notifier'],
  refresh: [],
  signals: [],
  notifications: [],
};

/** Who looks at a stream's configuration: whoever follows it, appends to it or works it off. */
export const lookers: Readonly<Record<StreamKey, readonly IdentityName[]>> = {
  ...followers,
  access: ['vault', 'audit'],
  refresh: ['refresh'],
  signals: ['revocation'],
  notifications: ['audit', 'notifier'],
};

/** Who reads single messages of a stream that it does not follow. */
export const peekers: Readonly<Partial<Record<StreamKey, readonly IdentityName[]>>> = {
  refresh: ['refresh'],
  signals: ['revocation'],
  notifications: ['notifier'],
};

export const workers: Readonly<Record<ConsumerKey, IdentityName>> = {
  refreshWorker: 'refresh',
  refreshScheduler: 'refresh',
  ownerNotices: 'audit',
  upstreamRevocation: 'revocation',
  signalDecisions: 'revocation',
  webhookFanOut: 'notifier',
};

const platforms = ['platform', 'gateway', 'administrator'] as const;

export const callers: Readonly<Record<OperationKey, readonly Caller[]>> = {
  leaseToken: ['platform', 'gateway'],
  reportRejection: ['platform', 'gateway'],
  startSession: platforms,
  completeSession: platforms,
  reauthorize: platforms,
  meetResource: ['administrator'],
  checkRegistration: ['administrator'],
  establish: platforms,
  importConnections: platforms,
  refreshConnection: [...platforms, 'vault', 'revocation'],
  refreshStatus: ['administrator'],
  revokeConnection: platforms,
  suspendConnection: platforms,
  resumeConnection: platforms,
  deleteConnection: platforms,
  showConnection: platforms,
  listConnections: platforms,
  listEvents: platforms,
  whoDid: platforms,
  connectionScopes: platforms,
  whoCould: platforms,
  diff: platforms,
  connectionsHealth: platforms,
  healthOverview: platforms,
  providersHealth: ['administrator'],
  listProjections: ['administrator'],
  rebuildProjection: ['administrator'],
  verifyProjection: ['administrator'],
  listSignals: ['administrator'],
  listInspections: ['administrator'],
  verifyTransmitter: ['administrator'],
  storeCredential: ['authorization', 'refresh'],
  promoteCredential: ['authorization'],
  findCredential: ['refresh', 'authorization'],
  releaseRefreshToken: ['refresh'],
  releaseForExchange: ['authorization'],
  releaseForRevocation: ['revocation'],
  releaseSuspectedToken: ['revocation'],
  releaseForInspection: ['revocation'],
  storeClientSecret: ['administrator'],
  releaseClientSecret: ['authorization', 'refresh', 'revocation'],
  storeTlsCertificate: ['administrator'],
  releaseTlsCertificate: ['authorization', 'refresh', 'revocation'],
  storeWebhookSecret: ['administrator'],
  releaseWebhookSecrets: ['revocation'],
  makePrivateKey: ['administrator'],
  importPrivateKey: ['administrator'],
  deleteEndedSecrets: ['administrator'],
  storeEndpointSecret: ['administrator'],
  releaseEndpointSecrets: ['notifier'],
  deleteEndedEndpointSecrets: ['administrator'],
  testWebhook: ['administrator'],
  listDeliveries: ['administrator'],
  redeliver: ['administrator'],
  signAssertion: ['authorization', 'refresh', 'revocation'],
  storeDeviceCode: ['authorization'],
  releaseDeviceCode: ['authorization'],
  signRequestObject: ['authorization'],
  signGrantAssertion: ['authorization'],
  signDpopProof: ['authorization', 'refresh', 'revocation'],
  confirmPosition: ['revocation'],
  shredConnectionKey: ['revocation'],
  keysStatus: ['administrator'],
  keysRewrap: ['administrator'],
  keysRetired: ['administrator'],
};

export const servers: Readonly<Record<OperationKey, IdentityName>> = {
  leaseToken: 'vault',
  reportRejection: 'revocation',
  startSession: 'authorization',
  completeSession: 'authorization',
  reauthorize: 'authorization',
  meetResource: 'authorization',
  checkRegistration: 'authorization',
  establish: 'authorization',
  importConnections: 'authorization',
  refreshConnection: 'refresh',
  refreshStatus: 'refresh',
  revokeConnection: 'revocation',
  suspendConnection: 'revocation',
  resumeConnection: 'revocation',
  deleteConnection: 'revocation',
  showConnection: 'audit',
  listConnections: 'audit',
  listEvents: 'audit',
  whoDid: 'audit',
  connectionScopes: 'audit',
  whoCould: 'audit',
  diff: 'audit',
  connectionsHealth: 'audit',
  healthOverview: 'audit',
  providersHealth: 'audit',
  listProjections: 'audit',
  rebuildProjection: 'audit',
  verifyProjection: 'audit',
  listSignals: 'revocation',
  listInspections: 'revocation',
  verifyTransmitter: 'revocation',
  storeCredential: 'vault',
  promoteCredential: 'vault',
  findCredential: 'vault',
  releaseRefreshToken: 'vault',
  releaseForExchange: 'vault',
  releaseForRevocation: 'vault',
  releaseSuspectedToken: 'vault',
  releaseForInspection: 'vault',
  storeClientSecret: 'vault',
  releaseClientSecret: 'vault',
  storeTlsCertificate: 'vault',
  releaseTlsCertificate: 'vault',
  storeWebhookSecret: 'vault',
  releaseWebhookSecrets: 'vault',
  makePrivateKey: 'vault',
  importPrivateKey: 'vault',
  deleteEndedSecrets: 'vault',
  storeEndpointSecret: 'vault',
  releaseEndpointSecrets: 'vault',
  deleteEndedEndpointSecrets: 'vault',
  testWebhook: 'notifier',
  listDeliveries: 'notifier',
  redeliver: 'notifier',
  signAssertion: 'vault',
  storeDeviceCode: 'vault',
  releaseDeviceCode: 'vault',
  signRequestObject: 'vault',
  signGrantAssertion: 'vault',
  signDpopProof: 'vault',
  confirmPosition: 'vault',
  shredConnectionKey: 'vault',
  keysStatus: 'vault',
  keysRewrap: 'vault',
  keysRetired: 'vault',
};
