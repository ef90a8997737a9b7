import { randomBytes } from 'node:crypto';

import { decodeJwt, importJWK, jwtVerify, type JWK } from 'jose';

import type { AssertionClaims, AssertionProfile, AssertionRefusal } from './assertion-profile.ts';
import type { ProfileAnswer, ProfileRequest } from './profile.ts';

/** A client that a provider knows by its key. */
interface AssertingClient {
  readonly profile: AssertionProfile;
  readonly clientId: string;
  readonly publicJwk: object;
  approved: boolean;
}

interface Token {
  readonly client: AssertingClient;
  readonly endsAtMs: number;
}

/** What a request came to, and with whom. */
export interface AssertedAnswer {
  readonly profileId: string;
  readonly answer: ProfileAnswer;
}

const grantType = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
/** How far its clock and ours may be apart. */
const skewS = 30;

/** The clients that ask for tokens by assertions, at whichever provider. @source RFC 7523 §2.1 */
export class AssertingClients {
  readonly #profiles: readonly AssertionProfile[];
  readonly #clients = new Map<string, AssertingClient>();
  readonly #tokens = new Map<string, Token>();

  constructor(profiles: readonly AssertionProfile[]) {
    this.#profiles = profiles;
  }

  /** Somebody gives a key to the provider, and an administrator approves what it is for. @returns its client id */
  register(profile: AssertionProfile, publicJwk: object): string {
    const clientId = profile.client.clientId(this.#clients.size + 1);
    this.#clients.set(clientId, { profile, clientId, publicJwk, approved: true });
    return clientId;
  }

  /** The administrator takes that back. @returns whether there was such a client */
  withdraw(clientId: string): boolean {
    const client = this.#clients.get(clientId);
    if (client !== undefined) client.approved = false;
    return client !== undefined;
  }

  /** @returns undefined for what is not about tokens of these. */
  async answer(request: ProfileRequest): Promise<AssertedAnswer | undefined> {
    const { method, url, members, bearer } = request;
    const place = `${url.origin}${url.pathname}`;
    if (method === 'POST' && members['grant_type'] === grantType) {
      const profile = this.#profiles.find(({ token }) => token.at === place);
      return profile && { profileId: profile.id, answer: await this.#issue(profile, request) };
    }
    const shown = this.#tokens.get(bearer ?? members['token'] ?? '');
    if (shown === undefined) return undefined;
    const { api, revocation, id: profileId } = shown.client.profile;
    if (method === 'GET' && place === api.at) {
      const lives = shown.client.approved && shown.endsAtMs > Date.now();
      return { profileId, answer: lives ? { status: 200, body: api.alive } : api.dead };
    }
    if (method !== 'POST' || place !== revocation?.at) return undefined;
    this.#tokens.set(members['token'] ?? '', { ...shown, endsAtMs: 0 });
    return { profileId, answer: { status: 200 } };
  }

  async #issue(profile: AssertionProfile, { members, format }: ProfileRequest): Promise<ProfileAnswer> {
    const { assertion } = members;
    if (assertion === undefined || format !== 'form') return profile.refusal('request');
    const taken = await this.#taken(profile, assertion);
    if (typeof taken === 'string') return profile.refusal(taken);
    const accessToken = `asserted-${randomBytes(24).toString('base64url')}`;
    const { accessTokenTtlS } = profile;
    const endsAtMs = accessTokenTtlS === null ? Infinity : Date.now() + accessTokenTtlS * 1_000;
    this.#tokens.set(accessToken, { client: taken.client, endsAtMs });
    return { status: 200, body: profile.tokenAnswer({ accessToken, scopes: taken.scopes }) };
  }

  async #taken(
    profile: AssertionProfile,
    assertion: string,
  ): Promise<{ client: AssertingClient; scopes: readonly string[] } | AssertionRefusal> {
    const claims = claimsIn(assertion);
    if (claims === undefined) return 'request';
    const client = this.#clients.get(claims.iss ?? '');
    if (client === undefined || client.profile !== profile) return 'client';
    const key = await importJWK(client.publicJwk as JWK, 'RS256');
    const options = { algorithms: ['RS256'], currentDate: new Date(0) };
    const isTheirs = await jwtVerify(assertion, key, options).then(
      () => true,
      () => false,
    );
    if (!isTheirs) return 'signature';
    if (claims.aud !== profile.audience) return 'audience';
    if (!isTimely(claims, profile)) return 'time';
    return isApproved(claims, client) ?? { client, scopes: scopesOf(claims, profile) };
  }
}

function claimsIn(assertion: string): AssertionClaims | undefined {
  try {
    return decodeJwt<AssertionClaims>(assertion);
  } catch {
    return undefined;
  }
}

function isTimely({ iat, exp }: AssertionClaims, { assertionTtlSMax }: AssertionProfile): boolean {
  const nowS = Date.now() / 1_000;
  const beganS = iat ?? nowS;
  if (exp === undefined || exp <= nowS || beganS > nowS + skewS) return false;
  return exp - beganS <= assertionTtlSMax;
}

/** @returns why not */
function isApproved({ sub, scope }: AssertionClaims, { profile, approved }: AssertingClient) {
  if (sub === undefined && profile.wantsSubject) return 'subject';
  if (sub !== undefined && sub !== profile.subject) return 'subject';
  const asked = scope?.split(' ') ?? [];
  if (profile.scopes.from === 'claim' && asked.length === 0) return 'scope';
  const isDelegated = sub === undefined || asked.every((one) => profile.scopes.approved.includes(one));
  return approved && isDelegated ? undefined : 'not_approved';
}

function scopesOf({ scope = '' }: AssertionClaims, { scopes }: AssertionProfile): readonly string[] {
  return scopes.from === 'claim' ? scope.split(' ') : scopes.approved;
}
