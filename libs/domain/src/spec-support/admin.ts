import { adminEvent, type AdminDataOf } from '../admin-events.ts';
import { platformId } from './connection.ts';

const numbered = (prefix: string, n: number) => `${prefix}_01jd${String(n).padStart(22, '0')}`;

export const agentId = numbered('agt', 1);
export const administratorId = numbered('adm', 1);
export const natsUser = `U${'A'.repeat(55)}`;
export const secretHash = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g';

/** The signature itself is nobody's: deciders leave it to whoever asks them. */
export const signedBy = (n: number) => ({ administratorId: numbered('adm', n), signature: 's'.repeat(86) });
const approved = {
  ...{ number: 1, fileVersion: 3, risk: 'write' as const },
  ...{ scopes: ['crm.objects.contacts.write'], hosts: ['api.hubapi.com', 'app.hubspot.com'] },
};

/** Each event on ADMIN with data that fit. */
export const admin = {
  tenantCreated: (name = 'Example') => adminEvent('TenantCreated', { name }),
  tenantDisabled: () => adminEvent('TenantDisabled', { reason: 'contract ended' }),
  platformCreated: (data: Partial<AdminDataOf<'PlatformCreated'>> = {}) =>
    adminEvent('PlatformCreated', { name: 'Helpdesk', returnUrls: ['https://platform.example/return'], ...data }),
  platformSecretIssued: (hash = secretHash) => adminEvent('PlatformSecretIssued', { secretHash: hash }),
  platformCredentialsIssued: (user = natsUser) => adminEvent('PlatformCredentialsIssued', { natsUser: user }),
  platformDisabled: () => adminEvent('PlatformDisabled', { reason: null }),
  agentCreated: (name = 'Assistant') => adminEvent('AgentCreated', { platformId, name }),
  agentDisabled: () => adminEvent('AgentDisabled', { reason: null }),
  administratorCreated: (label = 'operations') => adminEvent('AdministratorCreated', { label }),
  administratorCredentialsIssued: (user = natsUser) => adminEvent('AdministratorCredentialsIssued', { natsUser: user }),
  administratorDisabled: () => adminEvent('AdministratorDisabled', { reason: null }),
  registrationCreated: (data: Partial<AdminDataOf<'RegistrationCreated'>> = {}) =>
    adminEvent('RegistrationCreated', {
      providerId: 'acme-crm',
      displayName: 'Acme CRM',
      clientId: 'postern-at-acme',
      tokenEndpointAuthMethod: 'client_secret_basic',
      parameters: { issuer: 'https://acme.example', region: 'eu' },
      scopes: ['contacts.read', 'offline_access'],
      ...data,
    }),
  registrationSecretStored: (data: Partial<AdminDataOf<'RegistrationSecretStored'>> = {}) =>
    adminEvent('RegistrationSecretStored', {
      kind: 'client_secret',
      secretVersion: 1,
      previousEndsAtMs: null,
      publicJwk: null,
      ...data,
    }),
  registrationSecretRetired: (data: Partial<AdminDataOf<'RegistrationSecretRetired'>> = {}) =>
    adminEvent('RegistrationSecretRetired', { kind: 'client_secret', secretVersion: 1, ...data }),
  registrationDisabled: () => adminEvent('RegistrationDisabled', { reason: null }),
  bridgeCreated: (displayName = 'An older system') =>
    adminEvent('BridgeCreated', {
      displayName,
      speaksFor: [{ tenantId: numbered('ten', 1), registrationId: numbered('reg', 1) }],
    }),
  bridgeCredentialsIssued: (user = natsUser) => adminEvent('BridgeCredentialsIssued', { natsUser: user }),
  bridgeDisabled: () => adminEvent('BridgeDisabled', { reason: null }),
  transmitterCreated: (data: Partial<AdminDataOf<'TransmitterCreated'>> = {}) =>
    adminEvent('TransmitterCreated', {
      displayName: 'Acme',
      issuer: 'https://acme.example',
      audiences: ['postern-at-acme'],
      jwksUri: 'https://acme.example/jwks',
      typeRequired: true,
      delivery: { method: 'push', bearerHash: null },
      speaksFor: [{ tenantId: numbered('ten', 1), registrationId: numbered('reg', 1) }],
      ...data,
    }),
  transmitterScopeChanged: (registration = 2) =>
    adminEvent('TransmitterScopeChanged', {
      speaksFor: [{ tenantId: numbered('ten', 1), registrationId: numbered('reg', registration) }],
    }),
  webhookCreated: (data: Partial<AdminDataOf<'WebhookCreated'>> = {}) =>
    adminEvent('WebhookCreated', {
      name: 'Operations',
      url: 'https://platform.example/hooks',
      types: ['connection.revoked', 'connection.health_changed'],
      ...data,
    }),
  webhookSecretStored: (data: Partial<AdminDataOf<'WebhookSecretStored'>> = {}) =>
    adminEvent('WebhookSecretStored', { secretVersion: 1, previousEndsAtMs: 1_893_542_400_000, ...data }),
  webhookDisabled: () => adminEvent('WebhookDisabled', { reason: null }),
  webhookGone: () => adminEvent('WebhookGone', { messageId: 'cmt_01jd0000000000000000000001-connection-revoked' }),
  rolloutCreated: (providerId = 'hubspot') => adminEvent('RolloutCreated', { providerId }),
  canaryStarted: (data: Partial<AdminDataOf<'ProviderCanaryStarted'>> = {}) =>
    adminEvent('ProviderCanaryStarted', {
      version: 3,
      otherwise: 1,
      sharePercent: 10,
      connectionIds: [],
      registrationIds: [],
      ...data,
    }),
  governanceCreated: () => adminEvent('GovernanceCreated', {}),
  administratorAdded: (n = 1, by: AdminDataOf<'AdministratorAdded'>['by'] = n === 1 ? null : signedBy(1)) =>
    adminEvent('AdministratorAdded', {
      number: n,
      administratorId: numbered('adm', n),
      name: 'operations',
      publicJwk: { kty: 'OKP', crv: 'Ed25519', x: String(n).repeat(43), kid: 'k'.repeat(43) },
      by,
    }),
  administratorRemoved: (data: Partial<AdminDataOf<'AdministratorRemoved'>> = {}) =>
    adminEvent('AdministratorRemoved', {
      ...{ number: 3, administratorId: numbered('adm', 2), reason: 'left', by: signedBy(1) },
      ...data,
    }),
  tenantPolicyChanged: (data: Partial<AdminDataOf<'TenantPolicyChanged'>> = {}) =>
    adminEvent('TenantPolicyChanged', {
      ...{ number: 3, approvals: 'required', highRiskConnections: 'own', by: signedBy(1) },
      ...data,
    }),
  approvalCreated: (providerId = 'hubspot') => adminEvent('ApprovalCreated', { providerId }),
  approvalRequested: (data: Partial<AdminDataOf<'ApprovalRequested'>> = {}) =>
    adminEvent('ApprovalRequested', { ...approved, reason: 'for the new desk', by: signedBy(1), ...data }),
  approvalGranted: (data: Partial<AdminDataOf<'ApprovalGranted'>> = {}) =>
    adminEvent('ApprovalGranted', { ...approved, by: signedBy(2), ...data }),
  approvalDenied: (data: Partial<AdminDataOf<'ApprovalDenied'>> = {}) =>
    adminEvent('ApprovalDenied', { number: 1, reason: null, by: signedBy(2), ...data }),
  transmitterDisabled: () => adminEvent('TransmitterDisabled', { reason: null }),
};
