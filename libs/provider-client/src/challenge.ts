import { RequiredClaims } from '@postern/contracts';

/** One parameter of a challenge: a token, or a quoted string. @source RFC 9110 §11.2 */
const parameter = /([A-Za-z_][A-Za-z0-9_-]{0,63})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/g;

/** Longer than this is not looked at. */
const headerCharsMax = 4_096;

/** The members of a claims request. @source OpenID Connect Core 1.0 §5.5, and Microsoft's `access_token` */
const claimsMembers: ReadonlySet<string> = new Set(['access_token', 'id_token', 'userinfo']);

/**
 * The claims that a challenge wants, as the text of the parameter `claims` of an authorization request.
 *
 * @returns null where it wants none that could be passed on.
 * @source https://learn.microsoft.com/en-us/entra/identity-platform/claims-challenge
 */
export function claimsIn(challenge: ReadonlyMap<string, string>): string | null {
  const claims = jsonIn(challenge.get('claims'));
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) return null;
  const members = Object.entries(claims);
  if (members.length === 0 || !members.every(([name]) => claimsMembers.has(name))) return null;
  const text = JSON.stringify(claims);
  return RequiredClaims.safeParse(text).success ? text : null;
}

function jsonIn(base64: string | undefined): unknown {
  try {
    return base64 === undefined ? undefined : JSON.parse(Buffer.from(base64, 'base64').toString('utf8'));
  } catch {
    return undefined;
  }
}

/**
 * The parameters of a `WWW-Authenticate` header, names in lower case; the first of a name counts.
 *
 * Several challenges in one header are read as one: what is looked for here (`error`, `scope`, `claims`) stands in one of
 * them at most.
 *
 * @source RFC 9110 §11.6.1, RFC 6750 §3
 */
export function challengeParameters(header: string | null | undefined): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const [, name = '', quoted, token] of (header ?? '').slice(0, headerCharsMax).matchAll(parameter)) {
    const key = name.toLowerCase();
    if (!parameters.has(key)) parameters.set(key, quoted?.replace(/\\(.)/g, '$1') ?? token ?? '');
  }
  return parameters;
}
