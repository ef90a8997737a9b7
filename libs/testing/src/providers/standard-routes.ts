import { createHmac } from 'node:crypto';

import type { ProfileAnswer, ProfileRoute, TokenRefusal } from './profile.ts';

/** @source RFC 6749 §5.2 */
const standardErrors: Readonly<Record<TokenRefusal, string>> = {
  client: 'invalid_client',
  code: 'invalid_grant',
  redirect_uri: 'invalid_grant',
  code_verifier: 'invalid_grant',
  refresh_token: 'invalid_grant',
  request: 'invalid_request',
};

/** Says no as the standard has it, with words of the provider's own beside. */
export function standardRefusal(
  own: Partial<Record<TokenRefusal, Record<string, unknown>>> = {},
  status: Partial<Record<TokenRefusal, number>> = {},
): (why: TokenRefusal) => ProfileAnswer {
  return (why) => ({
    status: status[why] ?? (why === 'client' ? 401 : 400),
    body: { error: standardErrors[why], ...own[why] },
  });
}

interface Revocation {
  readonly at: string;
  readonly authentication: 'basic' | 'post' | 'none';
  readonly format?: 'form' | 'json';
  /** What ends: the token alone, or the grant with all its tokens. */
  readonly ends: 'token' | 'grant';
  /** For a token that it does not know; success, as the standard has it, when absent. */
  readonly unknown?: ProfileAnswer;
  readonly done?: ProfileAnswer;
  /** Tokens that it takes; both when absent. */
  readonly takes?: 'refresh_token';
}

/** @source RFC 7009 §2 */
export function revocationRoute({ at, authentication, format = 'form', ends, ...says }: Revocation): ProfileRoute {
  return {
    method: 'POST',
    at,
    answer: (request, desk) => {
      const secret = authentication === 'basic' ? request.basic?.password : request.members['client_secret'];
      const isKnown = authentication === 'none' || (secret !== undefined && desk.clientWith(secret) !== undefined);
      if (!isKnown) return { status: 401, body: { error: 'invalid_client' } };
      const { token } = request.members;
      if (token === undefined || request.format !== format) return { status: 400, body: { error: 'invalid_request' } };
      const grant = desk.isAlive(token) ? desk.ownerOf(token) : undefined;
      const isTaken = says.takes === undefined || desk.grantOf(token) === undefined;
      if (grant === undefined || !isTaken) return says.unknown ?? { status: 200 };
      if (ends === 'grant') desk.endGrant(grant);
      else desk.endToken(token);
      return says.done ?? { status: 200 };
    },
  };
}

/** @source RFC 7662 §2 */
export function introspectionRoute(at: string, authentication: 'basic' | 'post', format: 'form' | 'json' = 'form') {
  const route: ProfileRoute = {
    method: 'POST',
    at,
    answer: (request, desk) => {
      const secret = authentication === 'basic' ? request.basic?.password : request.members['client_secret'];
      if (secret === undefined || desk.clientWith(secret) === undefined) {
        return { status: 401, body: { error: 'invalid_client' } };
      }
      const { token } = request.members;
      if (token === undefined || request.format !== format) return { status: 400, body: { error: 'invalid_request' } };
      const grant = desk.isAlive(token) ? desk.ownerOf(token) : undefined;
      if (grant === undefined) return { status: 200, body: { active: false } };
      return { status: 200, body: { active: true, sub: `account-${grant.account}`, scope: grant.scopes.join(' ') } };
    },
  };
  return route;
}

/** A keyed digest as senders of webhooks write it. */
export function hmac(text: string, { secret, encoding }: { secret: string; encoding: 'hex' | 'base64' }): string {
  return createHmac('sha256', secret).update(text).digest(encoding);
}
