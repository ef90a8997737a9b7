export { Evidence, type Fact } from './fact.ts';
export { loadCatalog, parseProviderFile, providerOf, providersDir, type Catalog } from './load-catalog.ts';
export { ProviderFile } from './provider-file.ts';
export { type Provider, type ProviderEndpoints, type ProviderParameter, type RefreshPolicy } from './provider.ts';
export { resolveProvider, type ResolvedProvider } from './resolve-provider.ts';
