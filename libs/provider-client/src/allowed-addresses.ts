import { AddressGuard } from './address-guard.ts';

const loopback = ['127.0.0.0/8', '::1'];

/** The addresses and ranges of a list that commas separate. */
export function addressesIn(list: string | undefined): string[] {
  return (list ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

/** What is wrong with such a list, for the sentence about a variable; undefined when nothing is. */
export function brokenAddresses(list: string | undefined): string | undefined {
  try {
    return void new AddressGuard(addressesIn(list));
  } catch (error) {
    return `holds what is no address: ${(error as Error).message}`;
  }
}

interface ProviderAddresses {
  readonly allowed: string | undefined;
  readonly allowLoopback: boolean;
  /** For whoever calls one provider many times a second. */
  readonly keepsConnections?: boolean;
}

/**
 * Where a provider may be that was found by its metadata.
 *
 * An issuer's own document says where its endpoints are, and who wrote it may have meant our house. Behind an HTTP proxy
 * that this process was told to use nobody looks: the proxy resolves names and connects, and its rules are the ones that
 * count.
 *
 * @param allowed addresses and ranges that are no public ones and are reached all the same, separated by commas
 * @returns undefined behind a proxy
 * @throws {PosternError} `config.invalid` for what is no address
 */
export function providerAddresses(
  { allowed, allowLoopback, keepsConnections }: ProviderAddresses,
  env: NodeJS.ProcessEnv = process.env,
): AddressGuard | undefined {
  const reachable = [...addressesIn(allowed), ...(allowLoopback ? loopback : [])];
  const guard = new AddressGuard(reachable, undefined, { keepsConnections });
  const isProxied = env['NODE_USE_ENV_PROXY'] === '1' && (env['HTTPS_PROXY'] ?? env['https_proxy'] ?? '') !== '';
  return isProxied ? undefined : guard;
}
