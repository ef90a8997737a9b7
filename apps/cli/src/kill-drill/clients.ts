import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { operations } from '@postern/contracts';
import { generateSealingKey, opener } from '@postern/crypto';
import { callOperation, connectBus, type Bus } from '@postern/nats';

import type { HttpAnswer } from '../demo/platform-client.ts';
import type { World } from '../demo/world.ts';

/** Of each kind; more would only measure how fast they are refused. */
const clientsOfAKind = 4;
/** Between two leases of one client. */
const pauseMs = 20;
/** A client does not know whether its vault was killed: so long it waits. */
const natsTimeoutMs = 3_000;

/** A lease of which a client holds the token. */
export interface ReceivedLease {
  readonly leaseId: string;
  readonly over: 'NATS' | 'HTTP';
}

/** Clients of the drill's platform, which remember every lease whose token they received. */
export class Clients {
  readonly received: ReceivedLease[] = [];
  readonly #world: World;
  readonly #running: Promise<void>[] = [];
  #bus: Bus | undefined;
  #stopping = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** Do they lease all the time? */
  get busy(): boolean {
    return this.#running.length > 0;
  }

  /** From now on they lease all the time, over NATS and over HTTP, whatever is killed. */
  async start(): Promise<void> {
    this.#bus = await platformBus(this.#world);
    const ways = [() => this.overHttp(), () => this.overNats()];
    for (const lease of ways) {
      for (let client = 0; client < clientsOfAKind; client += 1) this.#running.push(this.#keepLeasing(lease));
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#running);
    await this.#bus?.close();
  }

  /** One lease over HTTP; a connection that breaks is an answer too. */
  async overHttp(): Promise<HttpAnswer> {
    const { http, connectionId, agentId } = this.#world;
    const answer = await http
      .request('POST', `/v1/connections/${connectionId}/token`, { agent_id: agentId, purpose: 'kill drill' })
      .catch(() => ({ status: 0, body: {} as Record<string, unknown> }));
    if (typeof answer.body['access_token'] === 'string')
      this.received.push({ leaseId: String(answer.body['lease_id']), over: 'HTTP' });
    return answer;
  }

  /** One lease over NATS, counted when its seal opens. */
  async overNats(): Promise<void> {
    const { platform, connectionId, agentId } = this.#world;
    if (this.#bus === undefined || platform === undefined) return;
    const key = generateSealingKey();
    const { kty, crv, x } = key.publicJwk;
    const request = { connection_id: connectionId, agent_id: agentId, purpose: 'kill drill' };
    const asked = { ...request, recipient_key: { kty, crv, x } };
    const options = { timeoutMs: natsTimeoutMs };
    const lease = await callOperation(this.#bus, operations.leaseToken, platform, asked, options).catch(
      () => undefined,
    );
    if (lease === undefined) return;
    const { protectedHeader } = opener(key.privateJwk).open(lease.sealed_token);
    this.received.push({ leaseId: String(protectedHeader['lse']), over: 'NATS' });
  }

  async #keepLeasing(lease: () => Promise<unknown>): Promise<void> {
    while (!this.#stopping) {
      await lease();
      await delay(pauseMs);
    }
  }
}

async function platformBus({ platform }: World): Promise<Bus> {
  if (platform === undefined) throw new Error('the platform was not created');
  const { natsUrl: servers, credsFile, platformId } = platform;
  const creds = readFileSync(credsFile, 'utf8');
  return await connectBus({ servers, creds, identity: platformId, name: 'drill client' });
}
