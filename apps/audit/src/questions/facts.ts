import type { AggregateKind } from '@postern/contracts';
import { sha256Hex } from '@postern/crypto';
import { canRefresh } from '@postern/domain';
import type {
  AdminState,
  Agent,
  Approval,
  Bridge,
  Connection,
  Governance,
  Platform,
  Registration,
  Rollout,
  Tenant,
  Transmitter,
} from '@postern/domain';

type FactsOf = Readonly<Record<string, unknown>>;

/** What may be known of a connection, flat: no digest, no session, no claim. */
export function connectionFacts(state: Connection): FactsOf {
  return {
    platform_id: state.platformId,
    provider: state.providerId,
    registration_id: state.registrationId,
    authorization: state.authorization,
    suspended: state.suspended,
    scope: state.credential?.grantedScopes ?? [],
    credential_version: state.credential?.version ?? null,
    refreshable: state.credential !== null && canRefresh(state.credential),
    refreshing: state.health.status,
    reason: state.reauthorizationCause ?? state.revocationCause,
    key_shredded: state.keyShredded,
  };
}

const enough = 12;
/** Tells that a secret is another one, and nothing of the secret. */
const fingerprint = (text: string | null) => (text === null ? null : sha256Hex(text).slice(0, enough));

const factsByKind: { readonly [K in AggregateKind]?: (state: never) => FactsOf } = {
  tenant: ({ name }: Tenant) => ({ name }),
  platform: ({ name, returnUrls, secretHash, natsUser }: Platform) => ({
    name,
    return_urls: returnUrls,
    client_secret: fingerprint(secretHash),
    nats_user: natsUser,
  }),
  agent: ({ name, platformId }: Agent) => ({ name, platform_id: platformId }),
  registration: (state: Registration) => ({
    name: state.displayName,
    provider: state.providerId,
    client_id: state.clientId,
    token_endpoint_auth_method: state.tokenEndpointAuthMethod,
    parameters: state.parameters,
    scopes: state.scopes,
    secrets: state.secrets.map(({ kind, version }) => `${kind} ${version}`),
  }),
  transmitter: ({ displayName, issuer, speaksFor }: Transmitter) => ({
    name: displayName,
    issuer,
    speaks_for: speaksFor,
  }),
  rollout: (state: Rollout) => ({
    provider: state.providerId,
    current: state.current,
    canary: state.canary,
    withdrawn: state.withdrawn,
    reauthorization_moves_pin: state.reauthorizationMovesPin,
  }),
  governance: ({ administrators, policy }: Governance) => ({
    administrators: administrators.filter(({ removed }) => !removed).map(({ administratorId }) => administratorId),
    approvals: policy?.approvals ?? 'none',
    high_risk_connections: policy?.highRiskConnections ?? 'own',
  }),
  approval: ({ providerId, open, approved }: Approval) => ({
    provider: providerId,
    asked_for: open?.scopes ?? null,
    scopes: approved?.granted.scopes ?? null,
    hosts: approved?.granted.hosts ?? null,
    risk: approved?.granted.risk ?? null,
  }),
  bridge: ({ displayName, speaksFor }: Bridge) => ({ name: displayName, speaks_for: speaksFor }),
};

/** What may be known of configuration, flat. */
export function adminFacts(kind: AggregateKind, state: AdminState): FactsOf {
  const more = factsByKind[kind] as ((state: AdminState) => FactsOf) | undefined;
  return { ...more?.(state), disabled: state.disabled };
}

/** The names of what differs; of something that was not there, all. */
export function changedFacts(before: FactsOf | null, after: FactsOf): string[] {
  return Object.keys(after).filter((name) => JSON.stringify(before?.[name]) !== JSON.stringify(after[name]));
}
