import type { Provider } from '@postern/provider-catalog';

/**
 * What is said of a provider to which no code challenge is sent; null of every other.
 *
 * @source RFC 9700 §2.1.1
 */
export function pkceWarning({
  name,
  withoutPkce,
  facts,
}: Pick<Provider, 'name' | 'withoutPkce' | 'facts'>): string | null {
  if (!withoutPkce) return null;
  const { evidence, source, as_of: asOf, note } = facts['code_challenge_method'] ?? {};
  const known = [evidence, source, asOf, note].filter((part) => part !== undefined).join(', ');
  return `without PKCE: a stolen authorization code of ${name} can be spent by others (${known})`;
}
