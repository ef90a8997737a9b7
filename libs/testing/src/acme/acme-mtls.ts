import { createServer as createTlsServer, type Server } from 'node:https';
import type { RequestListener } from 'node:http';
import type { TLSSocket } from 'node:tls';

import type { KoaContext } from 'oidc-provider';

import type { TestCertificate } from '../client-certificates.ts';
import { closeServer, listenOnLoopback } from '../loopback.ts';

/** An Acme over TLS that knows clients by their certificates. @source RFC 8705 */
export interface AcmeMtls {
  /** Its own, for 127.0.0.1. */
  readonly server: TestCertificate;
  /** Who signs clients that are known by their subject. */
  readonly ca: string;
  /** Are access tokens for a resource JWTs, so that everybody can read to what they are bound? */
  readonly jwt?: boolean;
  /** Does it leave out that it binds tokens, and bind them all the same? */
  readonly silent?: boolean;
}

/** The endpoints that ask for a certificate stand at a port of their own. @source RFC 8705 §5 */
export class MtlsDoor {
  readonly #server: Server;
  origin = '';
  /** Paths that were asked for there, oldest first. */
  readonly paths: string[] = [];

  constructor({ server, ca }: AcmeMtls, handle: RequestListener) {
    const { certificate: cert, privateKey: key } = server;
    const options = { cert, key, ca, requestCert: true, rejectUnauthorized: false };
    this.#server = createTlsServer(options, (request, response) => {
      this.paths.push(new URL(request.url ?? '/', 'https://acme').pathname);
      handle(request, response);
    });
  }

  async open(): Promise<void> {
    this.origin = `https://127.0.0.1:${await listenOnLoopback(this.#server)}`;
  }

  /** What its metadata say of it. */
  get metadata(): Record<string, unknown> {
    return {
      mtls_endpoint_aliases: {
        token_endpoint: `${this.origin}/token`,
        revocation_endpoint: `${this.origin}/token/revocation`,
        introspection_endpoint: `${this.origin}/token/introspection`,
        pushed_authorization_request_endpoint: `${this.origin}/request`,
        userinfo_endpoint: `${this.origin}/me`,
      },
    };
  }

  async close(): Promise<void> {
    await closeServer(this.#server);
  }
}

const socketOf = (ctx: KoaContext) => ctx.req.socket as TLSSocket;
const peerOf = (ctx: KoaContext) => socketOf(ctx).getPeerX509Certificate?.();

/** Takes out of the metadata that tokens are bound. */
export async function silently(ctx: KoaContext, next: () => Promise<void>): Promise<void> {
  await next();
  const { body } = ctx;
  if (typeof body === 'object' && body !== null)
    Reflect.deleteProperty(body, 'tls_client_certificate_bound_access_tokens');
}

/** How clients may authenticate there. */
export const mtlsAuthMethods = [
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
  'tls_client_auth',
  'self_signed_tls_client_auth',
  'none',
];

/** How oidc-provider finds the certificate of a connection. */
export const mtlsFeature = {
  enabled: true,
  certificateBoundAccessTokens: true,
  selfSignedTlsClientAuth: true,
  tlsClientAuth: true,
  getCertificate: (ctx: KoaContext) => peerOf(ctx)?.toString(),
  certificateAuthorized: (ctx: KoaContext) => socketOf(ctx).authorized,
  certificateSubjectMatches: (ctx: KoaContext, property: string, expected: string) =>
    property === 'tls_client_auth_san_dns' && peerOf(ctx)?.checkHost(expected) !== undefined,
};
