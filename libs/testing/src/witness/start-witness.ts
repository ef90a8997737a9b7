import { createServer } from 'node:http';

import {
  cosignCheckpoint,
  generateSigningKey,
  openCheckpoint,
  parseAddCheckpoint,
  verifyConsistency,
  type OpenedCheckpoint,
  type SigningPublicJwk,
  type Witness,
} from '@postern/crypto';

import { readText } from '../acme/http-body.ts';
import { closeServer, listenOnLoopback } from '../loopback.ts';

/** A log whose checkpoints a witness cosigns. */
export interface WitnessedLog {
  readonly origin: string;
  readonly keys: readonly SigningPublicJwk[];
}

export interface TestWitness extends Witness {
  /** The submission prefix. */
  readonly url: string;
  /** The newest size it has cosigned of a log; 0 where it has none. */
  sizeOf(origin: string): number;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly type?: string;
}

const answer = (status: number, body: string): Answer => ({ status, body: `${body}\n` });

/**
 * Starts a witness on the loopback. It cosigns what continues the newest checkpoint that it has cosigned, and nothing
 * else; what it has seen is in memory.
 *
 * @source C2SP tlog-witness, "add-checkpoint"
 */
export async function startWitness(name: string, logs: readonly WitnessedLog[]): Promise<TestWitness> {
  const key = generateSigningKey();
  const newest = new Map<string, OpenedCheckpoint>();
  const server = createServer((request, response) => {
    void readText(request).then((body) => {
      const asksHere = request.method === 'POST' && request.url === '/add-checkpoint';
      const { status, body: text, type = 'text/plain' } = asksHere ? added(body) : answer(404, 'nothing is here');
      response.writeHead(status, { 'content-type': type }).end(text);
    });
  });
  /** In one turn: nothing comes between the look at the newest one and its successor. */
  const added = (body: string): Answer => {
    const asked = parseAddCheckpoint(body);
    if (asked === undefined) return answer(400, 'no add-checkpoint body');
    const log = logs.find(({ origin }) => asked.checkpoint.startsWith(`${origin}\n`));
    if (log === undefined) return answer(404, 'the log is unknown');
    const opened = openCheckpoint(asked.checkpoint, log);
    if (opened === undefined) return answer(403, 'no known key of the log has signed it');
    if (asked.oldSize > opened.size) return answer(400, 'the old size is larger than the new one');
    const last = newest.get(log.origin);
    const conflict = { status: 409, body: `${last?.size ?? 0}\n`, type: 'text/x.tlog.size' };
    if (asked.oldSize !== (last?.size ?? 0)) return conflict;
    if (last?.size === opened.size && !last.root.equals(opened.root)) return conflict;
    const claim = { firstSize: asked.oldSize, firstRoot: last?.root ?? opened.root };
    const { size: secondSize, root: secondRoot } = opened;
    if (!verifyConsistency(asked.proof, { ...claim, secondSize, secondRoot })) {
      return answer(422, 'the proof does not hold');
    }
    newest.set(log.origin, opened);
    const timeS = Math.floor(Date.now() / 1_000);
    return { status: 200, body: cosignCheckpoint(asked.checkpoint, { name, key: key.privateJwk, timeS }) };
  };
  const url = `http://127.0.0.1:${await listenOnLoopback(server)}`;
  return {
    name,
    key: key.publicJwk,
    url,
    sizeOf: (origin) => newest.get(origin)?.size ?? 0,
    close: async () => await closeServer(server),
  };
}
