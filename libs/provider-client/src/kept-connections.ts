import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';

/** How long a connection may rest between two requests. */
const restMsMax = 500;
/** How old one may be that is used once more: whoever moves to another address is followed. */
export const ageMsMax = 10_000;

interface Kept {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

/**
 * Connections that serve the next request too, when that comes at once.
 *
 * A server may hang up on a connection that rests in the very moment in which the next request is written to it, and then nobody
 * knows whether that was processed: with a refresh token that costs more than a handshake. Servers wait for seconds at
 * least, and say so when they hang up after an answer; so one rests for no more than {@link restMsMax}.
 *
 * @internal
 */
export function keptConnections(): Kept {
  const options = { keepAlive: true, timeout: restMsMax };
  return { http: new BriefHttpAgent(options), https: new BriefHttpsAgent(options) };
}

const bornAtMs = new WeakMap<Duplex, number>();

/** Is it to serve another request? Asked after each answer, and so for the first time when it is young. */
function isYoung(socket: Duplex): boolean {
  const now = performance.now();
  const since = bornAtMs.get(socket) ?? now;
  bornAtMs.set(socket, since);
  return now - since < ageMsMax;
}

class BriefHttpAgent extends HttpAgent {
  override keepSocketAlive(socket: Duplex): boolean {
    return isYoung(socket) && keeps(super.keepSocketAlive(socket));
  }
}

class BriefHttpsAgent extends HttpsAgent {
  override keepSocketAlive(socket: Duplex): boolean {
    return isYoung(socket) && keeps(super.keepSocketAlive(socket));
  }
}

/** Node's own answers, which its types do not know: no, where the server says that it hangs up sooner than can be used. */
const keeps = (answer: unknown) => answer !== false;
