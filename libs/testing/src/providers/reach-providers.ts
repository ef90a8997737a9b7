import { readFileSync } from 'node:fs';
import { setGlobalProxyFromEnv } from 'node:http';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';

import type { ProviderInternet } from './start-provider-internet.ts';

/** What a process that is started is told, so that it meets the simulated providers where the real ones would be. */
export function reachingProviders({
  proxyUrl,
  caPath,
}: Pick<ProviderInternet, 'proxyUrl' | 'caPath'>): Readonly<Record<string, string>> {
  return {
    NODE_USE_ENV_PROXY: '1',
    HTTPS_PROXY: proxyUrl,
    NO_PROXY: '127.0.0.1,localhost',
    NODE_EXTRA_CA_CERTS: caPath,
  };
}

/**
 * The same for this process.
 *
 * @returns takes it back.
 * @effect on every `fetch` of the process.
 */
export function reachProviders(internet: Pick<ProviderInternet, 'proxyUrl' | 'caPath'>): () => void {
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, readFileSync(internet.caPath, 'utf8')]);
  const { HTTPS_PROXY, NO_PROXY } = reachingProviders(internet);
  const restore = setGlobalProxyFromEnv({ HTTPS_PROXY, NO_PROXY });
  return () => {
    restore();
    setDefaultCACertificates(before);
  };
}
