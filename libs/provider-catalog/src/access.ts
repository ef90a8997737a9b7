import type { Provider } from './provider.ts';
import type { Risk } from './scope-matrix.ts';
import { risks } from './scope-matrix-file.ts';

/** The risk of a scope, or that the catalog does not tell it. */
export type KnownRisk = Risk | 'unknown';

/** What should not be had by the way: it destroys, spends, or changes who may do what. */
const high: ReadonlySet<KnownRisk> = new Set<KnownRisk>(['destructive', 'money', 'admin']);

/** What a scope may do at worst, with all that it includes. */
export function riskOf({ scopeMatrix }: Pick<Provider, 'scopeMatrix'>, scope: string): KnownRisk {
  return scopeMatrix?.rows.find((row) => row.scope === scope)?.risk ?? 'unknown';
}

/** The scopes of the provider that the catalog knows to destroy, spend or administer. */
export function highRiskScopes({ scopeMatrix }: Pick<Provider, 'scopeMatrix'>): string[] {
  return (scopeMatrix?.rows ?? []).filter(({ risk }) => high.has(risk)).map(({ scope }) => scope);
}

/** The worst of them; `unknown` as soon as one is not known, `read` for none. */
export function worstRisk(provider: Pick<Provider, 'scopeMatrix'>, scopes: readonly string[]): KnownRisk {
  const found = scopes.map((scope) => riskOf(provider, scope));
  if (found.includes('unknown')) return 'unknown';
  return found.reduce((worst, risk) => (isAbove(risk, worst) ? risk : worst), 'read');
}

/** Is a risk higher than the one that was agreed to? One that is not known is higher than every known one. */
export function isAbove(risk: KnownRisk, agreed: KnownRisk): boolean {
  const order: readonly KnownRisk[] = [...risks, 'unknown'];
  return order.indexOf(risk) > order.indexOf(agreed);
}

/**
 * The hosts that codes, secrets and tokens of a registration go to, as the file writes them (`{subdomain}.acme.example`);
 * where the provider is only known by an issuer or a resource, those of the registration's parameters.
 *
 * @returns sorted, each once
 */
export function hostsOf(
  { endpoints, api, accountProbe }: Pick<Provider, 'endpoints' | 'api' | 'accountProbe'>,
  parameters: Readonly<Record<string, string>> = {},
): string[] {
  const known = endpoints === null ? Object.values(parameters) : Object.values(endpoints);
  const urls = [...known, accountProbe?.url, api.tokenProbe?.url];
  const hosts = urls.flatMap((url) => (typeof url === 'string' ? (/^https?:\/\/([^/?#]+)/.exec(url)?.[1] ?? []) : []));
  return [...new Set(hosts)].toSorted();
}
