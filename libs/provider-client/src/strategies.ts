import type { Provider, StrategyName } from '@postern/provider-catalog';
import * as oauth from 'oauth4webapi';

import type { GuardedFetch } from './guarded-fetch.ts';

/** What a provider does in a way of its own; its file picks these by name (`strategies.ts` of the catalog says why). */
interface Strategy {
  /** How its requests leave. */
  readonly fetch?: (fetch: GuardedFetch) => GuardedFetch;
  /** How its clients authenticate where they have a secret and their registration says HTTP Basic. */
  readonly basicAuthentication?: (clientSecret: string) => oauth.ClientAuth;
  /** Where the tokens stand in its answer, put where the standard has them. */
  readonly answer?: (body: object) => object;
  /** As what it gave this answer. */
  readonly server?: (server: oauth.AuthorizationServer, answer: object) => oauth.AuthorizationServer;
}

const strategies: Readonly<Record<StrategyName, Strategy>> = {
  json_requests: { fetch: withJsonBodies },
  secret_as_user: { basicAuthentication: secretAsUser },
  tokens_in_authed_user: { answer: withTokensOfAuthedUser },
  issuer_by_tid: { server: withIssuerByTid },
  // No change of a standard request, but a request of its own: installation-token.ts.
  installation_tokens: {},
};

/** The strategies of one provider as one, each applied after the one before it. @internal */
export class ProviderStrategies {
  readonly #picked: readonly Strategy[];

  constructor({ strategies: names }: Provider) {
    this.#picked = names.map((name) => strategies[name]);
  }

  fetch(fetch: GuardedFetch): GuardedFetch {
    return this.#picked.reduce((before, { fetch: change }) => change?.(before) ?? before, fetch);
  }

  answer(body: object): object {
    return this.#picked.reduce((before, { answer: change }) => change?.(before) ?? before, body);
  }

  server(server: oauth.AuthorizationServer, answer: object): oauth.AuthorizationServer {
    return this.#picked.reduce((before, { server: change }) => change?.(before, answer) ?? before, server);
  }

  /** Null: as the standard has it. */
  get basicAuthentication(): ((clientSecret: string) => oauth.ClientAuth) | null {
    return (
      this.#picked.find(({ basicAuthentication }) => basicAuthentication !== undefined)?.basicAuthentication ?? null
    );
  }
}

/** @source RFC 7617 §2 */
function secretAsUser(clientSecret: string): oauth.ClientAuth {
  const credentials = Buffer.from(`${clientSecret}:`).toString('base64');
  return (_server, _client, _body, headers) => headers.set('authorization', `Basic ${credentials}`);
}

function withJsonBodies(fetch: GuardedFetch): GuardedFetch {
  return (url, init) => {
    if (!(init.body instanceof URLSearchParams)) return fetch(url, init);
    const headers = { ...init.headers, 'content-type': 'application/json' };
    return fetch(url, { ...init, headers, body: JSON.stringify(Object.fromEntries(init.body)) });
  };
}

/** An answer may bring the tokens of a bot beside those of the person; nothing of the bot's may become the person's. */
function withTokensOfAuthedUser(body: object): object {
  const user: unknown = Reflect.get(body, 'authed_user');
  if (typeof user !== 'object' || user === null || !('access_token' in user)) return body;
  const foreign = new Set(['access_token', 'refresh_token', 'expires_in', 'scope', 'token_type', 'bot_user_id']);
  return { ...Object.fromEntries(Object.entries(body).filter(([name]) => !foreign.has(name))), ...user };
}

const tenantId = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Asked as `common`, as `organizations` or by the name of a domain, Entra answers as the tenant of whoever signed in. The
 * ID token comes from the token endpoint itself, and its `iss` still has to name the tenant of its `tid`; a registration
 * for one tenant accepts no other.
 */
function withIssuerByTid(server: oauth.AuthorizationServer, answer: object): oauth.AuthorizationServer {
  const [, prefix, asked = '', suffix] = /^(.*\/)([^/]+)(\/v2\.0)$/.exec(server.issuer) ?? [];
  const tid = claimsOf(answer)?.['tid'];
  if (prefix === undefined || tenantId.test(asked) || typeof tid !== 'string' || !tenantId.test(tid)) return server;
  return { ...server, issuer: `${prefix}${tid}${suffix}` };
}

/** The claims of an ID token nobody has checked yet. */
function claimsOf(answer: object): Record<string, unknown> | undefined {
  const idToken: unknown = Reflect.get(answer, 'id_token');
  if (typeof idToken !== 'string') return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(idToken.split('.')[1] ?? '', 'base64url').toString());
    return typeof claims === 'object' && claims !== null ? { ...claims } : undefined;
  } catch {
    return undefined;
  }
}
