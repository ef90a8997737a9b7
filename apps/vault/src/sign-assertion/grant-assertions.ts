import { Injectable } from '@nestjs/common';
import { limits, PosternError, type Renewal } from '@postern/contracts';
import { jwtSigner, randomToken, zero } from '@postern/crypto';
import type { Registration } from '@postern/domain';
import { Clock } from '@postern/service';

import { RegistrationSecrets } from '../registration-secrets/registration-secrets.ts';

/** How far behind GitHub lets our clock be: it refuses what was made in its future. */
const installationIssuedBeforeS = 60;

type Asserting = Extract<Renewal, { grant: 'jwt_bearer' | 'installation' }>;

/** Is it asked for with something that the vault signs? */
export function isAsserted(renewal: Renewal): renewal is Asserting {
  return renewal.grant === 'jwt_bearer' || renewal.grant === 'installation';
}

/**
 * Signs what an access token is asked for with, by the key of the registration, which stays here.
 *
 * Issuer and audience are the registration's, where an administrator signed them; the caller chooses the subject, so who
 * calls says for which connection, and the log shows it.
 *
 * @source RFC 7523 §2.1, §3
 */
@Injectable()
export class GrantAssertions {
  constructor(
    private readonly secrets: RegistrationSecrets,
    private readonly clock: Clock,
  ) {}

  /** @throws {PosternError} `vault.credential_missing` where the registration has no key, or names no audience */
  async sign(registration: Registration, renewal: Asserting): Promise<{ assertion: string; secretVersion: number }> {
    const claims = this.#claims(registration, renewal);
    const { secret, version } = await this.secrets.open(registration, { kind: 'private_key' });
    try {
      const { publicJwk, sign } = jwtSigner(secret);
      // An RSA key comes from elsewhere: by which name the provider knows it, only the provider knows.
      const header = publicJwk.kty === 'RSA' ? { typ: 'JWT' } : { typ: 'JWT', kid: publicJwk.kid };
      return { assertion: sign({ header, claims }), secretVersion: version };
    } finally {
      zero(secret);
    }
  }

  #claims({ clientId: iss, assertionAudience: aud }: Registration, renewal: Asserting): Record<string, unknown> {
    const now = Math.floor(this.clock.nowMs() / 1000);
    const jti = randomToken();
    const exp = now + limits.assertionTtlS;
    if (renewal.grant === 'installation') return { iss, jti, iat: now - installationIssuedBeforeS, exp };
    if (aud === null) throw new PosternError('vault.credential_missing', 'The registration names no audience.');
    const { subject, scopes, scopesInAssertion } = renewal;
    const scope = scopesInAssertion && scopes.length > 0 ? { scope: scopes.join(' ') } : {};
    return { iss, ...(subject !== null && { sub: subject }), aud, jti, iat: now, exp, ...scope };
  }
}
