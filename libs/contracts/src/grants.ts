import { z } from 'zod';

import { ConnectionId, RegistrationId } from './ids.ts';
import { limits } from './limits.ts';
import { StaticSecret } from './static-credentials.ts';
import { CompactJwe, Scopes } from './wire.ts';

/**
 * In which way a credential was had, where that was not an end user's consent in a browser (`authorization_code`, which
 * is what a missing one means).
 */
export const Grant = z.enum([
  'device_code',
  'client_credentials',
  'jwt_bearer',
  'installation',
  'token_exchange',
  'identity_assertion',
  'static',
  'imported',
]);
export type Grant = z.infer<typeof Grant>;

/** By what a token is bound to a key of ours: RFC 9449, or RFC 8705 §3. */
export const SenderConstraint = z.enum(['dpop', 'mtls']);
export type SenderConstraint = z.infer<typeof SenderConstraint>;

/** Had anew with what we hold ourselves: there is no refresh token, and an answer that is lost costs nothing. */
export const renewableGrants: readonly Grant[] = Object.freeze([
  'client_credentials',
  'jwt_bearer',
  'installation',
  'token_exchange',
  'identity_assertion',
] as const);

/** No browser has a part in it, so that nobody can be sent anywhere to mend it: it is established anew. */
export const unattendedGrants: readonly Grant[] = Object.freeze([
  'client_credentials',
  'jwt_bearer',
  'installation',
  'token_exchange',
  'identity_assertion',
  'static',
] as const);

/** Had with what other connections hold, and worth no more than those. */
export const derivedGrants: readonly Grant[] = Object.freeze(['token_exchange', 'identity_assertion'] as const);

const Subject = z
  .string()
  .min(1)
  .max(limits.endUserCharsMax)
  .describe('For whom, as the provider names its users, such as an address; absent: for the client itself');

/** An installation of an app, and what of it a token is for: all of it where nothing is said. */
const Installation = {
  installation_id: z.string().regex(/^[1-9][0-9]{0,19}$/, 'must be the number of an installation'),
  /** Names of repositories, without their owner. */
  repositories: z
    .array(z.string().regex(/^[A-Za-z0-9._-]{1,100}$/, 'must be the name of a repository, without its owner'))
    .min(1)
    .max(100)
    .optional(),
  permissions: z
    .record(z.string().regex(/^[a-z][a-z_]{0,63}$/), z.enum(['read', 'write', 'admin']))
    .refine((permissions) => Object.keys(permissions).length >= 1, 'must name one at least')
    .refine((permissions) => Object.keys(permissions).length <= limits.scopesMax, 'has too many members')
    .optional(),
};

/**
 * From which connections one is derived: as `sub` and `act` of a token say it, but by our own ids. What the subject is
 * derived from itself, its own connection says.
 *
 * @source RFC 8693 §4.1
 */
export const Delegation = z.strictObject({
  /** On whose behalf. */
  subjectConnectionId: ConnectionId,
  /** Who acts; null where nobody was named, so that the downstream service cannot tell the two apart. */
  actorConnectionId: ConnectionId.nullable(),
});
export type Delegation = z.infer<typeof Delegation>;

/** The same as callers are told it. */
export const DelegationView = z.object({
  subject_connection_id: ConnectionId,
  actor_connection_id: ConnectionId.nullable(),
});
export type DelegationView = z.infer<typeof DelegationView>;

/** A connection whose token is shown in an exchange, as long as it stands at the registration it stood at. */
const ExchangeParty = z.strictObject({ connectionId: ConnectionId, registrationId: RegistrationId });
export type ExchangeParty = z.infer<typeof ExchangeParty>;

/** For which services a token is meant. @source RFC 8693 §2.1 */
const target = {
  audience: z.array(z.string().min(1).max(limits.grantParameterCharsMax)).max(limits.exchangeTargetsMax),
  resource: z
    .array(
      z
        .url()
        .max(limits.grantParameterCharsMax)
        .refine((url) => !url.includes('#'), 'must have no fragment'),
    )
    .max(limits.exchangeTargetsMax),
};

/**
 * With what an access token is asked for anew. It rests and travels sealed, beside the token it goes with: what stands
 * in it may name a person.
 *
 * @source RFC 6749 §4.4.2
 */
export const Renewal = z.discriminatedUnion('grant', [
  z.strictObject({
    grant: z.literal('client_credentials'),
    scopes: Scopes,
    /** Beside the standard's own, such as an `audience`. */
    parameters: z.record(z.string().max(64), z.string().max(limits.grantParameterCharsMax)),
  }),
  z.strictObject({
    grant: z.literal('token_exchange'),
    scopes: Scopes,
    ...target,
    subject: ExchangeParty,
    actor: ExchangeParty.nullable(),
    parameters: z.record(z.string().max(64), z.string().max(limits.grantParameterCharsMax)),
  }),
  z.strictObject({
    grant: z.literal('identity_assertion'),
    scopes: Scopes,
    /** Empty: what the registration's tokens are for, if it says so. */
    resource: target.resource,
    subject: ExchangeParty,
    parameters: z.record(z.string().max(64), z.string().max(limits.grantParameterCharsMax)),
  }),
  z.strictObject({
    grant: z.literal('jwt_bearer'),
    scopes: Scopes,
    /** For whom; null: for the client itself. @source RFC 7523 §3 */
    subject: Subject.nullable(),
    /** Do the scopes stand in the assertion, and not beside it? */
    scopesInAssertion: z.boolean(),
    parameters: z.record(z.string().max(64), z.string().max(limits.grantParameterCharsMax)),
  }),
  z.strictObject({
    grant: z.literal('installation'),
    /** What is narrowed is not named by scopes. */
    scopes: z.array(z.never()),
    ...Installation,
  }),
]);
export type Renewal = z.infer<typeof Renewal>;

const Parameters = z
  .record(
    z.string().regex(/^[a-z][a-z0-9_]{0,63}$/, 'must be the name of a parameter'),
    z.string().min(1).max(limits.grantParameterCharsMax),
  )
  .refine((parameters) => Object.keys(parameters).length <= limits.grantParametersMax, 'has too many members')
  .refine(
    (parameters) => !Object.keys(parameters).some((name) => reserved.has(name)),
    'holds a parameter that Postern sets itself',
  )
  .describe('What the provider wants at its token endpoint beside the standard’s own, such as an audience');

/** What the library and the registration say; nobody may say it again. */
const reserved = new Set([
  'grant_type',
  'scope',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'assertion',
  'code',
  'refresh_token',
  'username',
  'password',
  'subject_token',
  'subject_token_type',
  'actor_token',
  'actor_token_type',
  'requested_token_type',
]);

const ClientCredentialsGrant = z.strictObject({
  type: z.literal('client_credentials'),
  parameters: Parameters.optional(),
});

const TokenExchangeGrant = z.strictObject({
  type: z.literal('token_exchange'),
  subject_connection_id: ConnectionId.describe('On whose behalf: its token is exchanged, and nobody is given it'),
  actor_connection_id: ConnectionId.optional().describe('Who acts; absent: the new token does not tell'),
  audience: target.audience.optional().describe('The service that the token is for, as its server knows it'),
  resource: target.resource.optional().describe('The service that the token is for, by its URL'),
  parameters: Parameters.optional(),
});

/** @source draft-ietf-oauth-identity-assertion-authz-grant-04 §4 */
const IdentityAssertionGrant = z.strictObject({
  type: z.literal('identity_assertion'),
  subject_connection_id: ConnectionId.describe(
    'Whose identity: a connection at the identity provider with an ID token',
  ),
  resource: target.resource.optional().describe('What the token is for, where the registration does not say'),
  parameters: Parameters.optional(),
});

const JwtBearerGrant = z.strictObject({
  type: z.literal('jwt_bearer'),
  subject: Subject.optional(),
  parameters: Parameters.optional(),
});

const InstallationGrant = z.strictObject({ type: z.literal('installation'), ...Installation });

const RotateAfterS = z
  .number()
  .int()
  .min(limits.rotateAfterSMin)
  .max(limits.rotateAfterSMax)
  .optional()
  .describe('After so long its owner is reminded to replace it; absent: after as long as the provider’s file says');

/** How a connection is to be had without a browser, with what that takes. */
export const EstablishedGrant = z.discriminatedUnion('type', [
  ClientCredentialsGrant,
  JwtBearerGrant,
  InstallationGrant,
  z.strictObject({
    type: z.literal('static'),
    sealed_secret: CompactJwe.describe('A static secret as JSON, sealed to authorization; its header names the tenant'),
    rotate_after_s: RotateAfterS,
  }),
  TokenExchangeGrant,
  IdentityAssertionGrant,
]);
export type EstablishedGrant = z.infer<typeof EstablishedGrant>;

/** The same over HTTP: TLS carries a secret, and the gateway seals it. */
export const HttpEstablishedGrant = z.discriminatedUnion('type', [
  ClientCredentialsGrant,
  JwtBearerGrant,
  InstallationGrant,
  z.strictObject({ type: z.literal('static'), secret: StaticSecret, rotate_after_s: RotateAfterS }),
  TokenExchangeGrant,
  IdentityAssertionGrant,
]);
export type HttpEstablishedGrant = z.infer<typeof HttpEstablishedGrant>;
