import type { Middleware } from 'oidc-provider';

import { SetSigner } from '../transmitter/set-signer.ts';

/** What Acme tells somebody about one of its accounts. */
export interface AcmeSecurityEvent {
  /** Where it is pushed to. */
  readonly endpoint: string;
  readonly audience: string;
  /** The event's type, a URI. */
  readonly type: string;
  readonly accountId: string;
}

/** Acme as a transmitter of security events: its keys for them, and the push. @source RFC 8417, RFC 8935 §2 */
export class AcmeSecurityEvents {
  readonly #issuer: string;
  readonly #signer: SetSigner;

  private constructor(issuer: string, signer: SetSigner) {
    this.#issuer = issuer;
    this.#signer = signer;
  }

  static async make(issuer: string): Promise<AcmeSecurityEvents> {
    return new AcmeSecurityEvents(issuer, await SetSigner.make());
  }

  /** @returns the status that the receiver answered with; 202 when it has it. */
  async push({ endpoint, audience, type, accountId }: AcmeSecurityEvent): Promise<number> {
    const issuer = this.#issuer;
    const claims = { sub_id: { format: 'iss_sub', iss: issuer, sub: accountId } };
    const body = await this.#signer.sign({ issuer, audience, events: { [type]: {} }, claims });
    const headers = { 'content-type': 'application/secevent+jwt' };
    return (await fetch(endpoint, { method: 'POST', headers, body })).status;
  }

  /** Publishes the keys at a path. */
  keysAt(url: string): Middleware {
    const { pathname } = new URL(url);
    return async (ctx, next) => {
      if (ctx.method !== 'GET' || ctx.path !== pathname) return next();
      ctx.body = this.#signer.jwks;
      return undefined;
    };
  }
}
