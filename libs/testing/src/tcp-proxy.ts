import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { closeServer, listenOnLoopback } from './loopback.ts';

/** What a loss does to the connection: cut it, or leave it open and silent from then on. */
export type LossEffect = 'cut' | 'silence';

interface Loss {
  readonly matches: (chunk: Buffer) => boolean;
  readonly effect: LossEffect;
  left: number;
}

/** A server's door with a saboteur in it. */
export interface TcpProxy {
  readonly port: number;
  /** Added to every chunk in each direction, in order; 0 at first, may be set at any time. */
  delayMs: number;
  /** @effect ends every connection and refuses new ones until `heal()`. */
  cut(): void;
  /** @effect lets connections in again and forgets planned losses. */
  heal(): void;
  /**
   * Loses an answer: the first chunk from the server that matches is never delivered, nor anything after it.
   *
   * TCP does not lose bytes in the middle, so the connection is cut (default) or stays silent. A chunk is what one
   * read gives, which may hold several protocol messages.
   *
   * @returns how many answers this plan has lost so far.
   */
  dropServerToClient(
    matches: (chunk: Buffer) => boolean,
    options?: { readonly effect?: LossEffect; readonly times?: number },
  ): { lost(): number };
  /** Open connections at this moment. */
  connections(): number;
  close(): Promise<void>;
}

/** Stands between a client and a server on the loopback, to lose acknowledgements and cut connections on purpose. */
export async function startTcpProxy(target: {
  readonly targetPort: number;
  readonly targetHost?: string;
  readonly port?: number;
}): Promise<TcpProxy> {
  const pairs = new Set<[Socket, Socket]>();
  let losses: Loss[] = [];
  let isCut = false;

  const server = createServer((client) => {
    if (isCut) return void client.destroy();
    const upstream = connect(target.targetPort, target.targetHost ?? '127.0.0.1');
    const pair: [Socket, Socket] = [client, upstream];
    pairs.add(pair);
    for (const socket of pair) socket.setNoDelay(true).on('error', () => undefined);
    const over = () => {
      pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    void Promise.all([pump(client, upstream, () => 'pass'), pump(upstream, client, judge)]).then(over, over);
    return undefined;
  });

  const judge = (chunk: Buffer): LossEffect | 'pass' => {
    const loss = losses.find((one) => one.left > 0 && one.matches(chunk));
    if (!loss) return 'pass';
    loss.left -= 1;
    return loss.effect;
  };

  const pump = async (from: Socket, to: Socket, verdict: (chunk: Buffer) => LossEffect | 'pass'): Promise<void> => {
    let silent = false;
    for await (const chunk of from as AsyncIterable<Buffer>) {
      if (proxy.delayMs > 0) await sleep(proxy.delayMs);
      const fate = silent ? 'silence' : verdict(chunk);
      if (fate === 'cut') throw new Error('cut on purpose');
      if (fate === 'silence') silent = true;
      else if (!to.write(chunk)) await once(to, 'drain');
    }
    to.end();
  };

  const cutAll = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
  };

  const port = await listenOnLoopback(server, target.port);
  const proxy: TcpProxy = {
    port,
    delayMs: 0,
    cut: () => {
      isCut = true;
      cutAll();
    },
    heal: () => {
      isCut = false;
      losses = [];
    },
    dropServerToClient: (matches, { effect = 'cut', times = 1 } = {}) => {
      const loss: Loss = { matches, effect, left: times };
      losses.push(loss);
      return { lost: () => times - loss.left };
    },
    connections: () => pairs.size,
    close: async () => {
      isCut = true;
      cutAll();
      await closeServer(server);
    },
  };
  return proxy;
}
