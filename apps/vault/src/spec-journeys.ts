import {
  AccessGroup,
  limits,
  newId,
  operations,
  type AccessRecord,
  type Delegation,
  type Grant,
  type TokenSet,
} from '@postern/contracts';
import * as domain from '@postern/domain';
import { JetStreamEventLog } from '@postern/nats';

import { tokenSetOf, type Customer, type VaultWorld } from './spec-world.ts';

/** A connection and its owner. */
export interface ConnectionRef {
  readonly tenantId: string;
  readonly connectionId: string;
}

/** A session that is exchanging its code. */
export async function exchangingSession(world: VaultWorld, customer: Customer, connectionId = newId('connection')) {
  const { tenantId, platformId, registrationId } = customer;
  const sessionId = newId('session');
  const ref = { tenantId, connectionId };
  await world.decide('authorization', ref, (state, nowMs) =>
    domain.startAuthorization(
      {
        sessionId,
        purpose: state.authorization === 'none' ? 'connect' : 'reauthorize',
        platformId,
        providerId: 'acme',
        registrationId,
        endUserDigest: 'digest',
        requestedScopes: ['read'],
        returnUrl: 'https://platform.example/back',
        expiresAtMs: nowMs + world.agoMs + limits.sessionTtlMs,
        nowMs,
      },
      state,
    ),
  );
  await world.decide('authorization', ref, (state, nowMs) => domain.startCodeExchange({ sessionId, nowMs }, state));
  return { ...ref, sessionId };
}

/** A session whose end user gets a user code; nobody asked the provider for one yet. */
export async function deviceSession(world: VaultWorld, customer: Customer) {
  const { tenantId, platformId, registrationId } = customer;
  const [connectionId, sessionId] = [newId('connection'), newId('session')];
  const ref = { tenantId, connectionId };
  await world.decide('authorization', ref, (state, nowMs) =>
    domain.startAuthorization(
      {
        ...{ sessionId, purpose: 'connect', platformId, providerId: 'acme', registrationId, endUserDigest: 'digest' },
        ...{ requestedScopes: ['read'], returnUrl: '', grant: 'device_code' },
        expiresAtMs: nowMs + world.agoMs + limits.sessionTtlMs,
        nowMs,
      },
      state,
    ),
  );
  return { ...ref, sessionId };
}

/** The log says that there is a device code, and that it is asked about. */
export async function asked(world: VaultWorld, session: ConnectionRef & { sessionId: string }): Promise<void> {
  const { sessionId } = session;
  await world.decide('authorization', session, (state, nowMs) =>
    domain.startDeviceAuthorization(
      {
        ...{ sessionId, pollerId: 'spec', pollingUntilMs: nowMs + 20_000, intervalS: 5 },
        deviceCodeExpiresAtMs: nowMs + 600_000,
        nowMs,
      },
      state,
    ),
  );
}

/** Stores a session's token set as pending. */
export async function storePending(world: VaultWorld, session: ConnectionRef & { sessionId: string }, set: TokenSet) {
  return await world.call('authorization', operations.storeCredential, {
    tenant_id: session.tenantId,
    connection_id: session.connectionId,
    bought_by: session.sessionId,
    sealed_token_set: world.sealTo('vault', set),
  });
}

export async function promote(world: VaultWorld, session: ConnectionRef & { sessionId: string }) {
  const { tenantId, connectionId, sessionId } = session;
  return await world.call('authorization', operations.promoteCredential, {
    tenant_id: tenantId,
    connection_id: connectionId,
    session_id: sessionId,
  });
}

/** Records a promoted session, as `authorization` does when the platform completes it. */
export async function complete(
  world: VaultWorld,
  session: ConnectionRef & { sessionId: string },
  promoted: Awaited<ReturnType<typeof promote>>,
  grant?: Grant,
) {
  return await world.decide('authorization', session, (state, nowMs) =>
    domain.completeAuthorization(
      {
        sessionId: session.sessionId,
        endUserDigest: 'digest',
        credentialVersion: promoted.credential_version,
        grantedScopes: promoted.granted_scopes,
        accessTokenExpiresAtMs: promoted.access_token_expires_at_ms,
        hasRefreshToken: promoted.has_refresh_token,
        accountDigest: null,
        ...(grant !== undefined && { grant }),
        nowMs,
      },
      state,
    ),
  );
}

/** A connection that can be leased. */
export async function connected(world: VaultWorld, customer: Customer, set = tokenSetOf('first'), grant?: Grant) {
  const session = await exchangingSession(world, customer);
  return await authorized(world, session, set, grant);
}

/** Brings a session to its end. */
export async function authorized(
  world: VaultWorld,
  session: ConnectionRef & { sessionId: string },
  set: TokenSet,
  grant?: Grant,
) {
  await storePending(world, session, set);
  await complete(world, session, await promote(world, session), grant);
  return { tenantId: session.tenantId, connectionId: session.connectionId };
}

/** One that is about to be derived from others. */
export async function exchangingTokens(
  world: VaultWorld,
  customer: Customer,
  delegation: Delegation,
  grant: Grant = 'token_exchange',
): Promise<ConnectionRef & { sessionId: string }> {
  const { tenantId, platformId, registrationId } = customer;
  const ref = { tenantId, connectionId: newId('connection'), sessionId: newId('session') };
  await world.decide('authorization', ref, (state, nowMs) =>
    domain.startEstablishment(
      {
        ...{ sessionId: ref.sessionId, purpose: 'connect', grant, platformId, registrationId },
        ...{ providerId: 'acme', endUserDigest: 'digest', requestedScopes: ['read'], providerVersion: 1, delegation },
        expiresAtMs: nowMs + limits.sessionTtlMs,
        nowMs,
      },
      state,
    ),
  );
  return ref;
}

/** The claim of a worker. */
export async function claimed(world: VaultWorld, ref: ConnectionRef, claimTimeoutMs: number = limits.claimTimeoutMs) {
  const claimId = newId('claim');
  await world.decide('refresh', ref, (state, nowMs) =>
    domain.startRefresh({ claimId, claimTimeoutMs, reason: 'requested', nowMs }, state),
  );
  return claimId;
}

export async function released(world: VaultWorld, { tenantId, connectionId }: ConnectionRef, claimId: string) {
  return await world.call('refresh', operations.releaseRefreshToken, {
    tenant_id: tenantId,
    connection_id: connectionId,
    claim_id: claimId,
  });
}

/** The refresh token together with its claim, which the vault writes. */
export async function claimedReleased(
  world: VaultWorld,
  { tenantId, connectionId }: ConnectionRef,
  { claimId = newId('claim'), credentialVersion = 1 } = {},
) {
  return await world.call('refresh', operations.releaseRefreshToken, {
    ...{ tenant_id: tenantId, connection_id: connectionId, claim_id: claimId },
    claim: { credential_version: credentialVersion, timeout_ms: limits.claimTimeoutMs },
  });
}

/** Stores what a claim bought. */
export async function stored(world: VaultWorld, ref: ConnectionRef, bought: { claimId: string; set: TokenSet }) {
  return await world.call('refresh', operations.storeCredential, {
    tenant_id: ref.tenantId,
    connection_id: ref.connectionId,
    bought_by: bought.claimId,
    sealed_token_set: world.sealTo('vault', bought.set),
  });
}

/** Records what a claim bought. */
export async function recorded(
  world: VaultWorld,
  ref: ConnectionRef,
  bought: { claimId: string; set: TokenSet; credentialVersion: number },
) {
  const { claimId, credentialVersion } = bought;
  const { grantedScopes, accessTokenExpiresAtMs } = bought.set;
  return await world.decide('refresh', ref, (state, nowMs) =>
    domain.recordRefreshed(
      { claimId, credentialVersion, grantedScopes, accessTokenExpiresAtMs, rotated: true, nowMs },
      state,
    ),
  );
}

/** A whole refresh. */
export async function refreshed(world: VaultWorld, ref: ConnectionRef, set: TokenSet) {
  const claimId = await claimed(world, ref);
  await released(world, ref, claimId);
  const { credential_version } = await stored(world, ref, { claimId, set });
  return await recorded(world, ref, { claimId, set, credentialVersion: credential_version ?? 0 });
}

export async function revoked(world: VaultWorld, ref: ConnectionRef) {
  return await world.decide('revocation', ref, (state) =>
    domain.revokeConnection({ cause: 'requested_by_platform', reason: null }, state),
  );
}

/** A signal hinted that the grant of this connection ended. */
export async function suspected(world: VaultWorld, ref: ConnectionRef) {
  const [deliveryId, receivedAtMs] = ['Ev1', Date.now()];
  const evidence = { source: 'acme', type: 'hint', deliveryId, position: 7, occurredAtMs: null, receivedAtMs };
  return await world.decide('revocation', ref, (state) =>
    domain.decideOnSignal({ means: 'hint', evidence: { ...evidence, matchedBy: 'user' } }, state),
  );
}

/** Deletes a connection whose provider has been told. */
export async function deleted(world: VaultWorld, ref: ConnectionRef) {
  await world.decide('revocation', ref, (state) => domain.requestDeletion({ reason: null }, state));
  return await world.decide('revocation', ref, (state) =>
    domain.recordUpstreamRevoked(
      { credentialVersion: state.credential?.version ?? 0, method: 'nothing_to_revoke' },
      state,
    ),
  );
}

/** What audit reads of leases. */
export async function accessRecords({ buses }: VaultWorld): Promise<AccessRecord[]> {
  const log = new JetStreamEventLog({ bus: buses.audit, stream: 'access' });
  const found: AccessRecord[] = [];
  for await (const { payload } of log.read({ filter: 'access.>' })) {
    found.push(...AccessGroup.parse(JSON.parse(Buffer.from(payload).toString('utf8'))).records);
  }
  return found;
}
