import { operations, type EventView } from '@postern/contracts';
import { ScriptedBrowser, type GrantReport, type ProviderProfile } from '@postern/testing';

import type { HttpAnswer } from '../demo/platform-client.ts';
import { expectThat } from '../demo/expect-that.ts';
import type { ProfileClient, ProviderWorld } from './provider-world.ts';

/** Somebody's connection at a simulated provider, seen from both sides. */
export class ProviderConnection {
  readonly id: string;
  /** Of the grant, as the provider counts. */
  readonly grantNumber: number;
  readonly #world: ProviderWorld;
  readonly #profile: ProviderProfile;

  private constructor(
    world: ProviderWorld,
    profile: ProviderProfile,
    { id, grantNumber }: { id: string; grantNumber: number },
  ) {
    this.#world = world;
    this.#profile = profile;
    this.id = id;
    this.grantNumber = grantNumber;
  }

  /** Somebody new goes through our page and the provider's, and the platform completes it. */
  static async make(
    world: ProviderWorld,
    profile: ProviderProfile,
    { registrationId, clientId }: ProfileClient,
  ): Promise<ProviderConnection> {
    const { http, returnUrl, internet } = world;
    const user = `user-${crypto.randomUUID()}`;
    const asked = { registration_id: registrationId, end_user: user, return_url: returnUrl };
    const started = await http.request('POST', '/v1/connect/sessions', {
      ...{ ...asked, scopes: [...profile.client.scopes] },
    });
    expectThat('the session was begun', started.status === 201, started);
    const browser = new ScriptedBrowser();
    const page = await browser.open(String(started.body['connect_url']));
    const back = await browser.submit(page, { until: (url) => url.href.startsWith(returnUrl) });
    const answer = new URL(back.url).searchParams;
    const [sessionId, code] = [answer.get('session_id'), answer.get('code')];
    expectThat('the browser came back with a code', back.stopped && code !== null, {
      ...{ at: back.url.replace(/\?.*/, ''), text: back.text.slice(0, 300), error: answer.get('error') },
    });
    const completion = { code, end_user: user };
    const completed = await http.request('POST', `/v1/connect/sessions/${sessionId}/complete`, completion);
    expectThat('the platform completed it', completed.status === 200, completed);
    const { number } = await internet.latestGrant(clientId);
    return new ProviderConnection(world, profile, { id: String(completed.body['connection_id']), grantNumber: number });
  }

  async lease(): Promise<HttpAnswer> {
    const asked = { agent_id: this.#world.agentId, purpose: 'the table of providers' };
    return await this.request('token', asked);
  }

  async request(what: string, body: object = {}): Promise<HttpAnswer> {
    return await this.#world.http.request('POST', `/v1/connections/${this.id}/${what}`, body);
  }

  /** Does the provider's API take this token? */
  async isTaken(accessToken: unknown): Promise<boolean> {
    const { at, method = 'GET', dead } = this.#profile.api;
    const answer = await fetch(at, { method, headers: { authorization: `Bearer ${String(accessToken)}` } });
    return (await answer.text()) !== JSON.stringify(dead.body);
  }

  async grant(): Promise<GrantReport> {
    return await this.#world.internet.grant(this.grantNumber);
  }

  /** A person takes the app's access away. @returns what came of the notice, if there was one. */
  async takeAway({ silently }: { silently: boolean }): Promise<number | null> {
    return await this.#world.internet.takeAway(this.grantNumber, { silently });
  }

  async events(): Promise<readonly EventView[]> {
    const { session, tenantId } = this.#world;
    const { events } = await session.call(operations.listEvents, tenantId, { connection_id: this.id });
    return events;
  }
}
