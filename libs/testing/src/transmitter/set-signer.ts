import { randomUUID } from 'node:crypto';

import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTPayload } from 'jose';

export interface SetToSign {
  readonly issuer: string;
  readonly audience: string | string[];
  /** By type. */
  readonly events: Readonly<Record<string, unknown>>;
  /** More claims, or others than a proper token has; one that is undefined is left out. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** The same for the header. */
  readonly header?: Readonly<Record<string, unknown>>;
}

interface Key {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

/** Signs security event tokens, under keys that can be rotated. @source RFC 8417 */
export class SetSigner {
  #keys: Key[] = [];

  static async make(): Promise<SetSigner> {
    const signer = new SetSigner();
    await signer.rotate();
    return signer;
  }

  /** A new key signs from now on, and the one before it is not published any more. */
  async rotate(): Promise<void> {
    const kid = randomUUID();
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
    this.#keys = [{ kid, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' } }];
  }

  /** @source RFC 7517 §5 */
  get jwks(): { keys: JWK[] } {
    return { keys: this.#keys.map(({ publicJwk }) => publicJwk) };
  }

  async sign({ issuer, audience, events, claims = {}, header = {} }: SetToSign): Promise<string> {
    const [key] = this.#keys;
    if (key === undefined) throw new Error('there is no key');
    const iat = Math.floor(Date.now() / 1000);
    const payload = { iss: issuer, aud: audience, iat, jti: randomUUID(), events, ...claims };
    return await new SignJWT(payload as JWTPayload)
      .setProtectedHeader({ alg: 'ES256', typ: 'secevent+jwt', kid: key.kid, ...header })
      .sign(key.privateKey);
  }
}
