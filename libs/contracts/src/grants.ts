import { z } from 'zod';

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

/** By what a token is bound to a key of ours: RFC 9449. */
export const SenderConstraint = z.enum(['dpop']);
export type SenderConstraint = z.infer<typeof SenderConstraint>;

/** Had anew with what we hold ourselves: there is no refresh token, and an answer that is lost costs nothing. */
export const renewableGrants: readonly Grant[] = Object.freeze([
  'client_credentials',
  'jwt_bearer',
  'installation',
  'token_exchange',
  'identity_assertion',
] as const);

/** No end user ever stood behind it, so that none can be sent anywhere to mend it. */
export const unattendedGrants: readonly Grant[] = Object.freeze([
  'client_credentials',
  'jwt_bearer',
  'installation',
  'static',
] as const);

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
]);

const ClientCredentialsGrant = z.strictObject({
  type: z.literal('client_credentials'),
  parameters: Parameters.optional(),
});

/** How a connection is to be had without a browser, with what that takes. */
export const EstablishedGrant = z.discriminatedUnion('type', [
  ClientCredentialsGrant,
  z.strictObject({
    type: z.literal('static'),
    sealed_secret: CompactJwe.describe('A static secret as JSON, sealed to authorization; its header names the tenant'),
  }),
]);
export type EstablishedGrant = z.infer<typeof EstablishedGrant>;

/** The same over HTTP: TLS carries a secret, and the gateway seals it. */
export const HttpEstablishedGrant = z.discriminatedUnion('type', [
  ClientCredentialsGrant,
  z.strictObject({ type: z.literal('static'), secret: StaticSecret }),
]);
export type HttpEstablishedGrant = z.infer<typeof HttpEstablishedGrant>;
