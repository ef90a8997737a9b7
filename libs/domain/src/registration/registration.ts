import { limits, type AdminEvent, type RegistrationSecretKind } from '@postern/contracts';

import { adminEvolve, type AdminDataOf, type AdminState } from '../admin-events.ts';
import type { Evolver } from '../evolver.ts';

/** A secret that the vault holds; here stands all that anybody else may know of it. */
export interface RegistrationSecret {
  readonly kind: RegistrationSecretKind;
  readonly version: number;
  readonly storedAtMs: number;
  /** Null while nothing ends it. */
  readonly endsAtMs: number | null;
  /** Of a private key alone. */
  readonly publicJwk: AdminDataOf<'RegistrationSecretStored'>['publicJwk'];
  /** Of a client certificate alone. */
  readonly certificate?: AdminDataOf<'RegistrationSecretStored'>['certificate'];
}

/** Our client at a provider. Its secrets are with the vault. @source RFC 7591 §1.2 */
export interface Registration extends AdminState {
  readonly exists: boolean;
  readonly tenantId: string;
  readonly registrationId: string;
  readonly providerId: string;
  readonly displayName: string;
  readonly clientId: string;
  readonly tokenEndpointAuthMethod: AdminDataOf<'RegistrationCreated'>['tokenEndpointAuthMethod'];
  /** Values for the provider file's parameters, in the order of their names. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly scopes: string[];
  /** The `aud` of what is signed for it; null where nothing is. */
  readonly assertionAudience: string | null;
  /** Only where its tokens are bound to a key of each connection. @source RFC 9449 §5.2 */
  readonly dpopBoundAccessTokens?: true | undefined;
  /** Only where its tokens are bound to its client certificate. @source RFC 8705 §3.4 */
  readonly tlsClientCertificateBoundAccessTokens?: true | undefined;
  /** Only where its tokens are for this alone. @source RFC 8707 §2 */
  readonly resource?: string | undefined;
  /** Only where its authorization requests are signed. @source RFC 9101 §10.5 */
  readonly requireSignedRequestObject?: true | undefined;
  readonly createdAtMs: number;
  /** Those of one kind newest first: the first is the one in use, the others are what it replaced. */
  readonly secrets: readonly RegistrationSecret[];
  readonly disabled: boolean;
}

export type RegistrationEvent = Extract<
  AdminEvent,
  { type: 'RegistrationCreated' | 'RegistrationSecretStored' | 'RegistrationSecretRetired' | 'RegistrationDisabled' }
>;

const noRegistration: Registration = Object.freeze({
  exists: false,
  tenantId: '',
  registrationId: '',
  providerId: '',
  displayName: '',
  clientId: '',
  tokenEndpointAuthMethod: 'none',
  parameters: {},
  scopes: [],
  assertionAudience: null,
  createdAtMs: 0,
  secrets: [],
  disabled: false,
});

/** The same record with its keys in order: a record has no order of its own, and the state must have one. */
export function sorted(record: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(record).toSorted(([one], [other]) => (one < other ? -1 : 1)));
}

/** The secrets of a kind that may be used now, the one in use first, then those that it replaced. */
export function secretsInUse(
  { secrets }: Pick<Registration, 'secrets'>,
  { kind, nowMs }: { kind: RegistrationSecretKind; nowMs: number },
): RegistrationSecret[] {
  return secrets.filter((one) => one.kind === kind && (one.endsAtMs === null || one.endsAtMs > nowMs));
}

function withSecret(
  { secrets }: Registration,
  { kind, secretVersion, previousEndsAtMs, publicJwk, certificate }: AdminDataOf<'RegistrationSecretStored'>,
  atMs: number,
): RegistrationSecret[] {
  const previous = secretsInUse({ secrets }, { kind, nowMs: atMs }).map((one) => ({
    ...one,
    endsAtMs: earlier(one.endsAtMs, previousEndsAtMs),
  }));
  const stored = {
    ...{ kind, version: secretVersion, storedAtMs: atMs, endsAtMs: null, publicJwk: sortedJwk(publicJwk) },
    ...(certificate && { certificate: { notAfterMs: certificate.notAfterMs, x5tS256: certificate.x5tS256 } }),
  };
  const ofKind = secretsInUse({ secrets: [stored, ...previous] }, { kind, nowMs: atMs });
  return [...secrets.filter((one) => one.kind !== kind), ...ofKind.slice(0, limits.secretsInUseMax)];
}

function sortedJwk(jwk: RegistrationSecret['publicJwk']): RegistrationSecret['publicJwk'] {
  return jwk === null ? null : (sorted({ ...jwk }) as typeof jwk);
}

function earlier(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}

/** The fold of a client registration's events. */
export const registrationEvolver: Evolver<Registration, RegistrationEvent> = Object.freeze({
  kind: 'registration',
  stateVersion: 2,
  initialState: noRegistration,
  evolve: adminEvolve<Registration, RegistrationEvent['type']>('RegistrationCreated', {
    RegistrationCreated: (state, data, { tenantId, aggregateId, atMs }) => ({
      ...state,
      exists: true,
      tenantId,
      registrationId: aggregateId,
      providerId: data.providerId,
      displayName: data.displayName,
      clientId: data.clientId,
      tokenEndpointAuthMethod: data.tokenEndpointAuthMethod,
      parameters: sorted(data.parameters),
      scopes: data.scopes,
      assertionAudience: data.assertionAudience ?? null,
      ...(data.dpopBoundAccessTokens === true && { dpopBoundAccessTokens: true }),
      ...(data.tlsClientCertificateBoundAccessTokens === true && { tlsClientCertificateBoundAccessTokens: true }),
      ...(data.resource !== undefined && { resource: data.resource }),
      ...(data.requireSignedRequestObject === true && { requireSignedRequestObject: true }),
      createdAtMs: atMs,
    }),
    RegistrationSecretStored: (state, data, { atMs }) => {
      const known = state.secrets.find(({ kind }) => kind === data.kind)?.version ?? 0;
      return data.secretVersion <= known ? state : { ...state, secrets: withSecret(state, data, atMs) };
    },
    RegistrationSecretRetired: (state, { kind, secretVersion }) => ({
      ...state,
      secrets: state.secrets.filter((one) => one.kind !== kind || one.version !== secretVersion),
    }),
    RegistrationDisabled: (state) => ({ ...state, disabled: true }),
  }),
});
