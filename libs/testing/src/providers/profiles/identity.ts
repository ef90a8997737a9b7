import { generateKeyPair, SignJWT, exportJWK, type CryptoKey, type JWK } from 'jose';

/** An issuer's key, made when somebody first asks. */
export class IdentityKey {
  readonly #id: string;
  #made: Promise<{ privateKey: CryptoKey; publicJwk: JWK }> | undefined;

  constructor(id: string) {
    this.#id = id;
  }

  async jwks(): Promise<{ keys: JWK[] }> {
    return { keys: [(await this.#pair()).publicJwk] };
  }

  /** @source OpenID Connect Core 1.0 §2 */
  async idToken(claims: Record<string, unknown>): Promise<string> {
    const { privateKey } = await this.#pair();
    return await new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256', kid: this.#id, typ: 'JWT' })
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey);
  }

  /** @source RFC 8417 §2 */
  async securityEvent(claims: Record<string, unknown>): Promise<string> {
    const { privateKey } = await this.#pair();
    return await new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256', kid: this.#id, typ: 'secevent+jwt' })
      .setIssuedAt()
      .sign(privateKey);
  }

  #pair(): Promise<{ privateKey: CryptoKey; publicJwk: JWK }> {
    this.#made ??= this.#make();
    return this.#made;
  }

  async #make(): Promise<{ privateKey: CryptoKey; publicJwk: JWK }> {
    const { privateKey, publicKey } = await generateKeyPair('RS256');
    return { privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid: this.#id, alg: 'RS256', use: 'sig' } };
  }
}
