import { randomBytes } from 'node:crypto';

import { AssertingClients } from './asserting-clients.ts';
import type { AssertionProfile } from './assertion-profile.ts';
import { GithubInstallations } from './github-installations.ts';
import type { KeyProfile, MadeSecret } from './key-profile.ts';
import type {
  ProfileAnswer,
  ProfileClientAuthentication,
  ProfileRequest,
  ProviderProfile,
  TokenRefusal,
} from './profile.ts';
import { ProfileBook, type ProfileClient } from './profile-book.ts';

/** What a provider would have written into a log of its own: why it said no. */
export interface ProfileComplaint {
  readonly profileId: string | null;
  readonly where: string;
  readonly why: string;
}

const complaintsMax = 1_000;

/** Plays all profiles at once, whatever host a request is for. */
export class ProfileServer {
  readonly book = new ProfileBook();
  readonly installations = new GithubInstallations();
  readonly asserting: AssertingClients;
  readonly complaints: ProfileComplaint[] = [];
  readonly #profiles: readonly ProviderProfile[];
  readonly #keyProfiles: readonly KeyProfile[];
  /** What a request shows of each credential that was made by hand and lives, by the profile's id. */
  readonly #made = new Set<string>();

  constructor(
    profiles: readonly ProviderProfile[],
    keyProfiles: readonly KeyProfile[] = [],
    assertionProfiles: readonly AssertionProfile[] = [],
  ) {
    this.#profiles = profiles;
    this.#keyProfiles = keyProfiles;
    this.asserting = new AssertingClients(assertionProfiles);
  }

  /** Somebody makes a credential by hand. */
  makeSecret(profile: KeyProfile): MadeSecret {
    const made = profile.make(randomBytes(24).toString('base64url'));
    this.#made.add(`${profile.id} ${profile.shown(made)}`);
    return made;
  }

  /** Somebody deletes it there. @returns whether there was one */
  endSecret(profile: KeyProfile, made: MadeSecret): boolean {
    return this.#made.delete(`${profile.id} ${profile.shown(made)}`);
  }

  /** Answers as the provider would whose address this is. */
  async answer(request: ProfileRequest): Promise<ProfileAnswer> {
    const place = `${request.method} ${request.url.origin}${request.url.pathname}`;
    const asserted = await this.asserting.answer(request);
    if (asserted !== undefined) {
      const { profileId, answer } = asserted;
      if (answer.status >= 400) this.complain(profileId, place, `answered ${answer.status}`);
      return answer;
    }
    const authorizing = this.#profiles.filter(({ authorization }) => isAt(request, 'GET', authorization.at));
    if (authorizing.length > 0) return this.#authorize(authorizing, request);
    const asked = this.#profiles.filter(({ token }) => isAt(request, 'POST', token.at));
    if (asked.length > 0) return await this.#token(asked, request);
    const called = this.#profiles.filter(({ api }) => isAt(request, api.method ?? 'GET', api.at));
    const keyed = this.#keyProfiles.find(({ api }) => isAt(request, 'GET', api.at));
    if (keyed !== undefined && this.#isMade(keyed, request)) return { status: 200, body: keyed.api.alive };
    if (called.length > 0) return this.#call(called, request);
    if (keyed !== undefined) {
      this.complain(keyed.id, place, 'the credential is not known');
      return keyed.api.dead;
    }
    const installed = await this.installations.answer(request);
    if (installed !== undefined) {
      if (installed.status >= 400) this.complain('github-app-installation', place, `answered ${installed.status}`);
      return installed;
    }
    for (const profile of this.#profiles) {
      const route = profile.routes.find(({ method, at }) => isAt(request, method, at));
      if (route === undefined) continue;
      const answer = await route.answer(request, this.book);
      if (answer.status >= 400) this.complain(profile.id, place, `answered ${answer.status}`);
      return answer;
    }
    this.complain(null, place, 'there is nothing in the documents');
    return { status: 404, body: { message: 'Not Found' } };
  }

  #isMade(profile: KeyProfile, request: ProfileRequest): boolean {
    const shown = profile.shownBy(request);
    return shown !== null && this.#made.has(`${profile.id} ${shown}`);
  }

  complain(profileId: string | null, where: string, why: string): void {
    if (this.complaints.length < complaintsMax) this.complaints.push({ profileId, where, why });
  }

  /** What cannot be trusted is not redirected to: an error page. @source RFC 6749 §4.1.2.1 */
  #authorize(profiles: readonly ProviderProfile[], { url }: ProfileRequest): ProfileAnswer {
    const query = url.searchParams;
    const client = this.book.client(query.get('client_id'));
    const [first] = profiles;
    const profile = client !== undefined && profiles.includes(client.profile) ? client.profile : first;
    const refused = client === undefined || profile !== client.profile ? 'client_id' : this.#unfit(client, query);
    if (client === undefined || refused !== null) {
      this.complain(profile?.id ?? null, `${url.origin}${url.pathname}`, `the authorization request: ${refused}`);
      return { status: 400, body: { error: 'invalid_request', error_description: refused } };
    }
    const code = this.book.authorize(client, {
      scopes: scopesIn(client.profile, query) ?? client.profile.client.scopes,
      challenge: query.get('code_challenge'),
      nonce: query.get('nonce'),
    });
    const back = new URL(client.redirectUri);
    back.searchParams.set('code', code);
    back.searchParams.set('state', query.get('state') ?? '');
    return { status: 302, headers: { location: back.href } };
  }

  /** @returns what is wrong with an authorization request; null when nothing is. */
  #unfit({ profile, redirectUri }: ProfileClient, query: URLSearchParams): string | null {
    if (query.get('response_type') !== 'code') return 'response_type';
    if (query.get('redirect_uri') !== redirectUri) return 'redirect_uri';
    for (const [name, value] of Object.entries(profile.authorization.wants ?? {})) {
      if (query.get(name) !== value) return name;
    }
    const scopes = scopesIn(profile, query);
    if (scopes === null) return null;
    const known = new Set(profile.client.scopes);
    if (scopes.length === 0 || scopes.some((scope) => !known.has(scope))) return `invalid_scope ${scopes.join('|')}`;
    if (profile.pkce === 'checked' && query.has('code_challenge') && query.get('code_challenge_method') !== 'S256') {
      return 'code_challenge_method';
    }
    return null;
  }

  async #token(profiles: readonly ProviderProfile[], request: ProfileRequest): Promise<ProfileAnswer> {
    const client = this.#client(profiles, request);
    const profile = typeof client === 'string' ? profiles[0] : client.profile;
    if (profile === undefined) return { status: 404 };
    const refuse = (why: TokenRefusal, words: string = why): ProfileAnswer => {
      this.complain(profile.id, `${request.url.origin}${request.url.pathname}`, `the token request: ${words}`);
      return profile.refusal(why);
    };
    if (typeof client === 'string') return refuse('client', client);
    const { members, format } = request;
    if (format === 'none' || !profile.token.formats.includes(format)) return refuse('request', `the body is ${format}`);
    if (members['grant_type'] === 'refresh_token') {
      const grant = this.book.spendRefreshToken(client, members['refresh_token']);
      return grant === undefined ? refuse('refresh_token') : await this.#handOut(profile, grant, true);
    }
    if (members['grant_type'] !== 'authorization_code') return refuse('request', 'grant_type');
    if (members['redirect_uri'] !== client.redirectUri) return refuse('redirect_uri');
    const grant = this.book.spendCode(client, members);
    return typeof grant === 'string' ? refuse(grant) : await this.#handOut(profile, grant, false);
  }

  /** @returns what is wrong where it is nobody's. */
  #client(profiles: readonly ProviderProfile[], { basic, members }: ProfileRequest): ProfileClient | string {
    const { client_id: id, client_secret: secret } = members;
    const shown: [ProfileClientAuthentication, ProfileClient | undefined][] = [];
    if (basic !== null && basic.password !== '') shown.push(['basic', this.#proved(basic.user, basic.password)]);
    if (basic !== null && basic.password === '') shown.push(['secret_as_user', this.book.clientWith(basic.user)]);
    if (secret !== undefined) shown.push(['post', this.#proved(id, secret)]);
    const [first, ...more] = shown;
    if (first === undefined) return 'no client authentication';
    if (more.length > 0) return 'more than one client authentication';
    const [way, client] = first;
    if (client === undefined || !profiles.includes(client.profile)) return `nobody is known by ${way}`;
    return client.profile.token.authentication.includes(way) ? client : `${way} is not taken`;
  }

  #proved(clientId: string | undefined, secret: string): ProfileClient | undefined {
    const client = this.book.client(clientId);
    return client?.clientSecret === secret ? client : undefined;
  }

  async #handOut(
    profile: ProviderProfile,
    grant: Parameters<ProfileBook['issue']>[1],
    isRefresh: boolean,
  ): Promise<ProfileAnswer> {
    const tokens = this.book.issue(profile, grant, isRefresh);
    return { status: 200, body: await profile.tokenAnswer({ ...tokens, grant, isRefresh }) };
  }

  #call(profiles: readonly ProviderProfile[], request: ProfileRequest): ProfileAnswer {
    const grant = this.book.grantOf(request.bearer);
    const profile = profiles.find(({ id }) => id === grant?.profileId);
    if (grant === undefined || profile === undefined) return profiles[0]?.api.dead ?? { status: 401 };
    return { status: 200, body: profile.api.alive(grant) };
  }
}

function scopesIn({ authorization: { scopes } }: ProviderProfile, query: URLSearchParams): string[] | null {
  if (scopes === null) return null;
  return (query.get(scopes.parameter) ?? '').split(scopes.separator).filter((scope) => scope !== '');
}

/** Is this request for that place? `*` stands for one segment. */
function isAt({ method, url }: ProfileRequest, wanted: string, at: string): boolean {
  const place = new URL(at);
  if (method !== wanted || url.host !== place.host) return false;
  const [asked, known] = [url.pathname.split('/'), place.pathname.split('/')];
  return asked.length === known.length && known.every((segment, index) => segment === '*' || segment === asked[index]);
}
