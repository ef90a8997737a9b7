import { tlsCertificateFacts, type Secret } from '@postern/crypto';
import type { AuthorizationServer } from 'oauth4webapi';

import { ProviderCallError } from './provider-call-error.ts';

/** A connection's certificate, that is in force. @throws {ProviderCallError} `client_certificate_expired` @internal */
export function requireInForce(certificate: Secret, nowMs: number): void {
  if (nowMs >= tlsCertificateFacts(certificate.reveal()).notAfterMs) {
    throw new ProviderCallError('client_certificate_expired');
  }
}

/**
 * The metadata as whoever shows a certificate is to read them: endpoints that ask for one may stand elsewhere.
 *
 * @source RFC 8705 §5
 * @internal
 */
export function withMtlsAliases(server: AuthorizationServer): AuthorizationServer {
  const { mtls_endpoint_aliases: aliases = {} } = server;
  const members: unknown = Object.fromEntries(
    aliased.flatMap((name) => (aliases[name] ? [[name, aliases[name]]] : [])),
  );
  return { ...server, ...(members as Partial<AuthorizationServer>) };
}

/** No browser is sent to any of them. */
const aliased = [
  'token_endpoint',
  'revocation_endpoint',
  'introspection_endpoint',
  'pushed_authorization_request_endpoint',
  'device_authorization_endpoint',
  'userinfo_endpoint',
] as const;

/** What can be seen of how a token is bound, and what was to be. */
interface Binding {
  /** The certificate of the connection over which it came. */
  readonly shown: Secret | undefined;
  /** To what it says that it is bound; null: to nothing; undefined where that cannot be seen. */
  readonly confirmed: string | null | undefined;
  /** Did the registration ask for bound tokens? */
  readonly asked: boolean;
}

/**
 * Is this token bound to our certificate?
 *
 * What can be seen decides, also where nobody asked: such a token is of no use without the certificate, whatever we call
 * it. Where nothing can be seen, a server that was asked is believed.
 *
 * @throws {ProviderCallError} `invalid_answer` for a token that is bound to another certificate, or to none though that
 *   was asked for: nobody may have it instead.
 * @source RFC 8705 §3
 * @internal
 */
export function isBoundTo({ shown, confirmed, asked }: Binding): boolean {
  if (confirmed === undefined) return asked && shown !== undefined;
  if (confirmed === null && !asked) return false;
  const own = shown === undefined ? null : tlsCertificateFacts(shown.reveal()).x5tS256;
  if (confirmed === null || confirmed !== own) throw new ProviderCallError('invalid_answer', { httpStatus: 200 });
  return true;
}

/**
 * To which certificate a JWT says that it is bound. Its signature is not looked at: it came from its issuer itself.
 *
 * @returns undefined for what is no JWT that we could read.
 * @source RFC 8705 §3.1
 * @internal
 */
export function confirmationIn(accessToken: string): string | null | undefined {
  const [, payload, signature, ...more] = accessToken.split('.');
  if (payload === undefined || signature === undefined || more.length > 0) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? x5tS256In(Reflect.get(claims, 'cnf')) : undefined;
  } catch {
    return undefined;
  }
}

/** @returns null where it is bound to no certificate. @internal */
export function x5tS256In(cnf: unknown): string | null {
  const value: unknown = typeof cnf === 'object' && cnf !== null ? Reflect.get(cnf, 'x5t#S256') : undefined;
  return typeof value === 'string' ? value : null;
}
