import { setTimeout as delay } from 'node:timers/promises';

import { waitFor } from '@postern/testing';

import type { World } from '../demo/world.ts';

/** Between two requests of one client: enough to be there at every moment, and to leave the machine to what is tried. */
const pauseMs = 300;

export interface TrafficOptions {
  /** Each of these is leased by a client of its own; named twice, by two. */
  readonly leased: readonly string[];
  /** Each of these is refreshed at its provider again and again. */
  readonly refreshed?: readonly string[];
}

/** A platform that leases, and refreshes, over HTTP all the time; whatever did not succeed is kept. */
export class Traffic {
  /** Answers that brought no token, or not the credential that follows. */
  readonly failures: string[] = [];
  /** The newest token of each connection. */
  readonly tokens = new Map<string, string>();
  /** The credential version that the newest refresh of each connection was answered with. */
  readonly versions = new Map<string, number>();
  granted = 0;
  readonly #world: World;
  readonly #running: Promise<void>[];
  readonly #underWay = new Set<Promise<void>>();
  #paused = false;
  #stopping = false;

  constructor(world: World, { leased, refreshed = [] }: TrafficOptions) {
    this.#world = world;
    this.#running = [
      ...leased.map((id) => this.#keep(() => this.#lease(id))),
      ...refreshed.map((id) => this.#keep(() => this.#refresh(id))),
    ];
  }

  /** Resolves once so many more leases were granted. */
  async goesOn(leases: number, { timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    const wanted = this.granted + leases;
    const describe = () => `${leases} more leases; failed so far: ${this.failures.join(', ')}`;
    await waitFor(() => this.granted >= wanted, { timeoutMs, describe });
  }

  /** Resolves once nothing is under way; `resume` goes on. */
  async pause(): Promise<void> {
    this.#paused = true;
    await Promise.all(this.#underWay);
  }

  resume(): void {
    this.#paused = false;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#running);
  }

  async #keep(work: () => Promise<void>): Promise<void> {
    while (!this.#stopping) {
      if (!this.#paused) {
        const one = work().catch((error: unknown) => void this.failures.push(String(error)));
        this.#underWay.add(one);
        await one;
        this.#underWay.delete(one);
      }
      await delay(pauseMs);
    }
  }

  async #lease(connectionId: string): Promise<void> {
    const request = { agent_id: this.#world.agentId, purpose: 'while something else goes on' };
    const { status, body } = await this.#world.http.request('POST', `/v1/connections/${connectionId}/token`, request);
    const { access_token: token } = body;
    if (typeof token !== 'string') {
      this.failures.push(`lease of ${connectionId}: ${status} ${JSON.stringify(body)}`);
      return;
    }
    this.granted += 1;
    this.tokens.set(connectionId, token);
  }

  async #refresh(connectionId: string): Promise<void> {
    const { status, body } = await this.#world.http.request('POST', `/v1/connections/${connectionId}/refresh`, {});
    const version = Number(body['credential_version']);
    const before = this.versions.get(connectionId) ?? version - 1;
    if (status === 200 && version === before + 1) this.versions.set(connectionId, version);
    else this.failures.push(`refresh of ${connectionId} behind version ${before}: ${status} ${JSON.stringify(body)}`);
  }
}
