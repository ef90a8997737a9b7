import { startTcpProxy } from '../tcp-proxy.ts';
import type { TcpProxy } from '../tcp-proxy.ts';

/**
 * The routes between the nodes of a cluster, each through a proxy of its own, so that any pair can be parted.
 *
 * Nodes tell each other of third ones, and would connect to them past the proxies: so each of them advertises
 * `nowhere`, a door that admits nobody.
 */
export class ClusterLinks {
  readonly #links: ReadonlyMap<string, TcpProxy>;
  readonly #nowhere: TcpProxy;

  private constructor(links: ReadonlyMap<string, TcpProxy>, nowhere: TcpProxy) {
    this.#links = links;
    this.#nowhere = nowhere;
  }

  /** @param ports the cluster ports, in the order of the nodes. */
  static async start(ports: readonly number[]): Promise<ClusterLinks> {
    const links = new Map<string, TcpProxy>();
    for (const from of ports.keys()) {
      for (const [to, targetPort] of ports.entries()) {
        if (from !== to) links.set(key(from, to), await startTcpProxy({ targetPort }));
      }
    }
    const nowhere = await startTcpProxy({ targetPort: 1 });
    nowhere.cut();
    return new ClusterLinks(links, nowhere);
  }

  get advertise(): string {
    return `127.0.0.1:${this.#nowhere.port}`;
  }

  /** The ports by which a node reaches the others. */
  routePorts(from: number): number[] {
    return [...this.#links].filter(([name]) => name.startsWith(`${from}>`)).map(([, { port }]) => port);
  }

  /** The proxies of all routes that begin or end at a node. */
  of(node: number): TcpProxy[] {
    return [...this.#links].filter(([name]) => name.split('>').includes(String(node))).map(([, proxy]) => proxy);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#links.values(), this.#nowhere].map((proxy) => proxy.close()));
  }
}

const key = (from: number, to: number): string => `${from}>${to}`;
