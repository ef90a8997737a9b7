import type { AppName } from '@postern/contracts';

/** Which app answers a path behind the one port of `postern up` (INTERFACE: "a small path-table reverse proxy"). */
const table: readonly (readonly [prefix: string, app: AppName])[] = [
  ['/oauth/token', 'gateway'],
  ['/v1/', 'gateway'],
  ['/openapi.json', 'gateway'],
  ['/asyncapi.json', 'gateway'],
  ['/connect/', 'authorization'],
  ['/oauth/callback/', 'authorization'],
  ['/oauth/clients/', 'authorization'],
  ['/webhooks/', 'revocation'],
  ['/signals/', 'revocation'],
];

/** The app for a path, or none. A prefix that ends in a slash covers what stands below it. */
export function appFor(path: string): AppName | undefined {
  const bare = path.split('?', 1)[0] ?? '';
  return table.find(([prefix]) => (prefix.endsWith('/') ? bare.startsWith(prefix) : bare === prefix))?.[1];
}
