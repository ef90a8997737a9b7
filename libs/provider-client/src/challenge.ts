/** One parameter of a challenge: a token, or a quoted string. @source RFC 9110 §11.2 */
const parameter = /([A-Za-z_][A-Za-z0-9_-]{0,63})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/g;

/** Longer than this is not looked at. */
const headerCharsMax = 4_096;

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
