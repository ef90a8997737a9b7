import { randomBytes } from 'node:crypto';

import { importJWK, jwtVerify, type JWK } from 'jose';

import type { ProfileAnswer, ProfileRequest } from './profile.ts';

/** An app of GitHub's, and one installation of it. */
export interface InstalledApp {
  readonly clientId: string;
  readonly installationId: string;
}

interface Installation extends InstalledApp {
  readonly publicJwk: object;
  ended: boolean;
}

interface Token {
  readonly installation: Installation;
  readonly permissions: Readonly<Record<string, string>>;
  readonly endsAtMs: number;
}

const host = 'api.github.com';
const tokenTtlMs = 3_600_000;
/** No JWT may live longer, and none may be from the future. */
const jwtTtlSMax = 600;
/** What the app may do where nobody narrows it. */
const granted: Readonly<Record<string, string>> = Object.freeze({
  contents: 'write',
  issues: 'write',
  metadata: 'read',
});

/**
 * The tokens of installations of GitHub Apps, from the documents: a JWT of the app's own key, signed with RS256, at most ten
 * minutes old, brings a token for an hour, which may be narrowed.
 *
 * @source https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app
 */
export class GithubInstallations {
  readonly #installations = new Map<string, Installation>();
  readonly #tokens = new Map<string, Token>();

  /** An app is known by its key: the same one is installed by somebody else. */
  install(publicJwk: object): InstalledApp {
    const number = this.#installations.size + 1;
    const key = JSON.stringify(publicJwk);
    const known = [...this.#installations.values()].find((one) => JSON.stringify(one.publicJwk) === key);
    const app = { clientId: known?.clientId ?? `Iv23li${number}`, installationId: String(1_000 + number) };
    this.#installations.set(app.installationId, { ...app, publicJwk, ended: false });
    return app;
  }

  /** @returns whether there was one */
  uninstall(installationId: string): boolean {
    const installation = this.#installations.get(installationId);
    if (installation !== undefined) installation.ended = true;
    return installation !== undefined;
  }

  /** @returns undefined for what is none of these endpoints. */
  async answer(request: ProfileRequest): Promise<ProfileAnswer | undefined> {
    const { method, url, bearer } = request;
    if (url.host !== host) return undefined;
    const [, id] = /^\/app\/installations\/(\d+)\/access_tokens$/.exec(url.pathname) ?? [];
    if (method === 'POST' && id !== undefined) return await this.#issue(id, request);
    if (url.pathname !== '/installation/repositories' && url.pathname !== '/installation/token') return undefined;
    const token = this.#tokens.get(bearer ?? '');
    const lives = token !== undefined && !token.installation.ended && token.endsAtMs > Date.now();
    if (!lives) return { status: 401, body: { message: 'Bad credentials' } };
    if (method === 'GET') return { status: 200, body: { total_count: 1, repositories: [{ name: 'crm' }] } };
    this.#tokens.delete(bearer ?? '');
    return { status: 204 };
  }

  async #issue(id: string, { bearer, members }: ProfileRequest): Promise<ProfileAnswer> {
    const installation = this.#installations.get(id);
    const known = [...this.#installations.values()];
    const app = await this.#appOf(bearer ?? '', known);
    if (app === undefined) return { status: 401, body: { message: 'A JSON web token could not be decoded' } };
    const isTheirs = installation !== undefined && !installation.ended && installation.clientId === app.clientId;
    if (!isTheirs) return { status: 404, body: { message: 'Not Found' } };
    const asked =
      members['permissions'] === undefined ? granted : (JSON.parse(members['permissions']) as typeof granted);
    const isGranted = Object.entries(asked).every(
      ([name, level]) => level === granted[name] || (level === 'read' && granted[name] === 'write'),
    );
    if (!isGranted) return { status: 422, body: { message: 'The permissions requested are not granted' } };
    const token = `ghs_${randomBytes(27).toString('base64url')}`;
    const permissions = { ...asked, metadata: 'read' };
    const endsAtMs = Date.now() + tokenTtlMs;
    this.#tokens.set(token, { installation, permissions, endsAtMs });
    const expiresAt = new Date(endsAtMs).toISOString().replace(/\.\d+Z$/, 'Z');
    return { status: 201, body: { token, expires_at: expiresAt, permissions, repository_selection: 'all' } };
  }

  async #appOf(jwt: string, known: readonly Installation[]): Promise<InstalledApp | undefined> {
    for (const app of known) {
      const key = await importJWK(app.publicJwk as JWK, 'RS256');
      const options = { algorithms: ['RS256'], issuer: app.clientId, maxTokenAge: jwtTtlSMax };
      const verified = await jwtVerify(jwt, key, options).catch(() => undefined);
      const { exp = Infinity, iat = 0 } = verified?.payload ?? {};
      if (verified !== undefined && exp - iat <= jwtTtlSMax) return app;
    }
    return undefined;
  }
}
