import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

import { PosternError } from '@postern/contracts';

import type { ArrivedAnswer } from './arrived-answer.ts';
import { keptConnections } from './kept-connections.ts';
import { ProviderCallError } from './provider-call-error.ts';
import { sendAlone, type LoneRequest } from './send-alone.ts';

/** What is no public unicast address. @source RFC 6890, IANA's special-purpose address registries */
const refusedIpv4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24'],
  ...['203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
];
const publicIpv6 = ['2000::/3'];
/** Tunnels among them, behind which any IPv4 address may stand. */
const refusedIpv6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

/** Resolves a name to all its addresses. */
export type ResolveName = (
  hostname: string,
  done: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
) => void;

const resolveBySystem: ResolveName = (hostname, done) => systemLookup(hostname, { all: true }, done);

/**
 * Tells addresses that a customer's URL may lead to from those of our own house: loopback, private and link-local
 * ranges, the metadata services of clouds.
 */
export class AddressGuard {
  readonly #allowed: BlockList;
  readonly #refusedIpv4 = blockList(refusedIpv4);
  readonly #publicIpv6 = blockList(publicIpv6);
  readonly #refusedIpv6 = blockList(refusedIpv6);
  readonly #resolve: ResolveName;
  readonly #kept: ReturnType<typeof keptConnections> | undefined;

  /**
   * @param allowed addresses and ranges (`10.1.0.0/16`) that are reached although they are not public.
   * @param options `keepsConnections`: what is sent within half a second of an answer goes over the same connection, whose
   *   address was looked at when it was made.
   * @throws {PosternError} `config.invalid` for what is neither.
   */
  constructor(
    allowed: readonly string[] = [],
    resolve: ResolveName = resolveBySystem,
    { keepsConnections = false }: { readonly keepsConnections?: boolean | undefined } = {},
  ) {
    this.#allowed = blockList(allowed);
    this.#kept = keepsConnections ? keptConnections() : undefined;
    this.#resolve = resolve;
  }

  allows(address: string): boolean {
    const family = isIP(address);
    if (family === 0) return false;
    if (this.#allowed.check(address, family === 4 ? 'ipv4' : 'ipv6')) return true;
    if (family === 4) return !this.#refusedIpv4.check(address, 'ipv4');
    return this.#publicIpv6.check(address, 'ipv6') && !this.#refusedIpv6.check(address, 'ipv6');
  }

  /**
   * Sends to an address that was looked at: a name is resolved once, and what it resolved to is what is connected to. A
   * second look could have another answer (DNS rebinding).
   *
   * @throws {ProviderCallError} `address_refused`; what `node:http` throws.
   */
  async send(target: URL, request: LoneRequest): Promise<ArrivedAnswer> {
    const literal = target.hostname.replace(/^\[|\]$/g, '');
    if (isIP(literal) !== 0 && !this.allows(literal)) throw new ProviderCallError('address_refused');
    return await sendAlone(target, { ...request, lookup: this.#lookup, kept: this.#kept });
  }

  readonly #lookup: LookupFunction = (hostname, options, done) => {
    this.#resolve(hostname, (error, addresses) => {
      const reachable = addresses?.filter(({ address }) => this.allows(address)) ?? [];
      const [first] = reachable;
      if (error !== null) done(error, []);
      else if (first === undefined) done(new ProviderCallError('address_refused'), []);
      else if (options.all === true) done(null, [...reachable]);
      else done(null, first.address, first.family);
    });
  };
}

function blockList(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits, ...rest] = range.split('/');
    const family = isIP(address);
    const bitsMax = family === 4 ? 32 : 128;
    const length = bits === undefined ? bitsMax : Number(bits);
    const isRange = family !== 0 && rest.length === 0 && bits !== '' && Number.isInteger(length);
    if (!isRange || length < 0 || length > bitsMax) {
      throw new PosternError('config.invalid', `${range} is neither an address nor a range such as 10.0.0.0/8.`);
    }
    list.addSubnet(address, length, family === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}
