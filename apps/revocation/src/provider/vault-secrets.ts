import { Injectable } from '@nestjs/common';
import { operations, PosternError, TokenSet } from '@postern/contracts';
import { CryptoError, Secret, zero } from '@postern/crypto';
import { OperationsClient, ServiceKeys } from '@postern/service';

const as = { app: 'revocation' } as const;
const Tokens = TokenSet.pick({
  accessToken: true,
  refreshToken: true,
  accessTokenExpiresAtMs: true,
  grantedScopes: true,
});

/** The tokens of an ended connection, for as long as it takes to tell the provider. */
export interface RevokedTokens {
  readonly accessToken: Secret;
  readonly refreshToken: Secret | null;
  /** Null where the provider names no end. */
  readonly accessTokenExpiresAtMs: number | null;
  readonly grantedScopes: readonly string[];
}

/** What the vault gives `revocation`: sealed to its pinned key, for an end, a suspicion or an inspection in the log. */
@Injectable()
export class VaultSecrets {
  constructor(
    private readonly operations: OperationsClient,
    private readonly keys: ServiceKeys,
  ) {}

  /** @returns null when the vault holds none. @throws {PosternError} what the vault answers */
  async tokens(tenantId: string, connectionId: string): Promise<RevokedTokens | null> {
    const request = { tenant_id: tenantId, connection_id: connectionId };
    const { sealed_tokens: sealed } = await this.operations.call(operations.releaseForRevocation, as, request);
    if (sealed === null) return null;
    const { accessToken, refreshToken, ...rest } = this.#open(sealed, (text) => Tokens.parse(JSON.parse(text)));
    return {
      ...rest,
      accessToken: Secret.from(accessToken),
      refreshToken: refreshToken === null ? null : Secret.from(refreshToken),
    };
  }

  /**
   * One token of a suspected credential; the vault records that it was given away.
   *
   * @returns null when the vault holds none of this kind.
   * @throws {PosternError} `auth.forbidden` when it is not suspected (any more), and what else the vault answers
   */
  async suspectedToken({
    tenantId,
    connectionId,
    kind,
  }: {
    readonly tenantId: string;
    readonly connectionId: string;
    readonly kind: 'access_token' | 'refresh_token';
  }): Promise<{ readonly token: Secret; readonly credentialVersion: number } | null> {
    const request = { tenant_id: tenantId, connection_id: connectionId, kind };
    const released = await this.operations.call(operations.releaseSuspectedToken, as, request);
    const { sealed_token: sealed, credential_version: credentialVersion } = released;
    return sealed === null ? null : { token: this.#open(sealed, (text) => Secret.from(text)), credentialVersion };
  }

  /**
   * The refresh token, or what was made by hand, that nobody suspects; the vault writes into the log that it was given away.
   *
   * @returns null when the vault holds none.
   * @throws {PosternError} `auth.forbidden` when that may not be now, and what else the vault answers
   */
  async tokenForInspection(
    tenantId: string,
    connectionId: string,
  ): Promise<{ readonly token: Secret; readonly credentialVersion: number } | null> {
    const request = { tenant_id: tenantId, connection_id: connectionId };
    const released = await this.operations.call(operations.releaseForInspection, as, request);
    const { sealed_token: sealed, credential_version: credentialVersion } = released;
    return sealed === null ? null : { token: this.#open(sealed, (text) => Secret.from(text)), credentialVersion };
  }

  /** Shreds the key of a deleted connection; a repeat is harmless. @throws {PosternError} what the vault answers */
  async shredKey(tenantId: string, connectionId: string): Promise<void> {
    const request = { tenant_id: tenantId, connection_id: connectionId };
    await this.operations.call(operations.shredConnectionKey, as, request);
  }

  #open<T>(sealed: string, read: (text: string) => T): T {
    try {
      const { plaintext } = this.keys.opener.open(sealed);
      try {
        return read(plaintext.toString('utf8'));
      } finally {
        zero(plaintext);
      }
    } catch (error) {
      // What a parser says may quote what it parsed.
      if (error instanceof PosternError) throw error;
      const why = error instanceof CryptoError ? 'was not sealed to this service' : 'has another form';
      throw new PosternError('service.internal', `What the vault released ${why}.`);
    }
  }
}
