import { newId, operations, type EventView } from '@postern/contracts';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { waitFor, type KeyProfile, type MadeSecret } from '@postern/testing';

import { createClientRegistration } from '../admin/registrations.ts';
import type { HttpAnswer } from '../demo/platform-client.ts';
import { expectThat } from '../demo/expect-that.ts';
import type { ProviderWorld } from './provider-world.ts';
import { takeSteps, type StepResult } from './steps.ts';

/** The machine may have other things to do. */
const patienceMs = 90_000;

const ok = (note = ''): StepResult => ({ result: 'ok', note });
const doesNotApply = (note: string): StepResult => ({ result: 'does not apply', note });

interface Connected {
  readonly id: string;
  readonly made: MadeSecret;
}

/** Takes a provider whose credentials are made by hand through the columns of the table. */
export async function walkThroughKeys(
  world: ProviderWorld,
  profile: KeyProfile,
): Promise<Readonly<Record<string, StepResult>>> {
  const walk = new KeyWalk(world, profile);
  const steps: Readonly<Record<string, () => Promise<StepResult>>> = {
    connect: () => walk.connect(),
    lease: () => walk.lease(),
    refresh: () => walk.refresh(),
    'its signal': async () => doesNotApply('no notice of it is known'),
    'found by asking': () => walk.foundByAsking(),
    'by us': () => walk.byUs(),
  };
  return await takeSteps(Object.entries(steps));
}

class KeyWalk {
  readonly #world: ProviderWorld;
  readonly #profile: KeyProfile;
  #registrationId = '';
  #connected: Connected = { id: '', made: { api_key: '' } };

  constructor(world: ProviderWorld, profile: KeyProfile) {
    this.#world = world;
    this.#profile = profile;
  }

  /** What lives is taken, what does not is refused before anything could be leased. */
  async connect(): Promise<StepResult> {
    const { internet } = this.#world;
    this.#registrationId = await registerForKeys(this.#world, this.#profile);
    const dead = await internet.makeSecret(this.#profile.id);
    await internet.endSecret(this.#profile.id, dead);
    const refused = await this.#establish(dead);
    expectThat('a dead one is refused', refused.body['code'] === 'provider.rejected', refused);
    this.#connected = await this.#another();
    return ok('made by hand');
  }

  async lease(): Promise<StepResult> {
    const leased = await this.#lease();
    expectThat(
      'the lease was granted',
      leased.status === 200 && leased.body['expires_in'] === null,
      leased.body['code'],
    );
    expectThat('the provider takes it as the lease says', await this.#isTaken(leased));
    return ok('has no end');
  }

  /** Nobody refreshes it; a new one takes the place of the old one, which is leased no more. */
  async refresh(): Promise<StepResult> {
    const { id } = this.#connected;
    const asked = await this.#request('refresh');
    expectThat('nothing is refreshed', asked.status === 409, asked);
    const before = await this.#lease();
    const made = await this.#world.internet.makeSecret(this.#profile.id);
    const rotated = await this.#establish(made, { connection_id: id }, { rotate_after_s: 1 });
    expectThat('it was replaced in place', rotated.body['connection_id'] === id, rotated);
    this.#connected = { id, made };
    // The vault hears of it a moment after whoever replaced it.
    const after = await waitFor(
      async () => {
        const leased = await this.#lease();
        return leased.body['access_token'] === before.body['access_token'] ? undefined : leased;
      },
      { timeoutMs: patienceMs, describe: 'another one to be leased' },
    );
    expectThat('the new one is leased', await this.#isTaken(after), after.body['code']);
    await waitFor(async () => (await this.#events()).find(({ type }) => type === 'RotationDue'), {
      timeoutMs: patienceMs,
      describe: 'its owner to be reminded',
    });
    return ok('replaced in place, with a reminder');
  }

  async foundByAsking(): Promise<StepResult> {
    const { id, made } = await this.#another();
    const leased = await this.#lease(id);
    await this.#world.internet.endSecret(this.#profile.id, made);
    const { lease_id, credential_version } = leased.body;
    const reported = await this.#request('rejections', { lease_id, credential_version, status: 401 }, id);
    expectThat('the report was taken', reported.status === 200, reported);
    const code = await waitFor(
      async () => {
        const { body } = await this.#lease(id);
        return body['code'] === 'connection.revoked' ? body['code'] : undefined;
      },
      { timeoutMs: patienceMs, describe: 'a lease to be refused' },
    );
    return ok(`by a platform’s report: ${code}`);
  }

  async byUs(): Promise<StepResult> {
    const leased = await this.#lease();
    const revoked = await this.#request('revoke', { reason: 'the table of providers' });
    expectThat('it was revoked', revoked.status === 200, revoked);
    expectThat('leases are refused', (await this.#lease()).body['code'] === 'connection.revoked');
    const told = await waitFor(
      async () => (await this.#events()).find(({ type }) => type === 'UpstreamRevocationFailed'),
      { timeoutMs: patienceMs, describe: 'the end of telling the provider' },
    );
    expectThat('it is known that the provider cannot be told', told.data['final'] === true, told.data);
    expectThat('it lives there until somebody deletes it', await this.#isTaken(leased));
    return ok('here; it is deleted there by hand');
  }

  async #another(): Promise<Connected> {
    const made = await this.#world.internet.makeSecret(this.#profile.id);
    const established = await this.#establish(made);
    expectThat('the connection was established', established.status === 201, established);
    return { id: String(established.body['connection_id']), made };
  }

  async #establish(secret: MadeSecret, more: object = {}, of: object = {}): Promise<HttpAnswer> {
    const grant = { type: 'static', secret, ...of };
    return await this.#world.http.request('POST', '/v1/connections', {
      ...{ registration_id: this.#registrationId, grant, ...more },
    });
  }

  async #lease(id?: string): Promise<HttpAnswer> {
    return await this.#request('token', { agent_id: this.#world.agentId, purpose: 'the table of providers' }, id);
  }

  async #request(what: string, body: object = {}, id = this.#connected.id): Promise<HttpAnswer> {
    return await this.#world.http.request('POST', `/v1/connections/${id}/${what}`, body);
  }

  async #events(): Promise<readonly EventView[]> {
    const { session, tenantId } = this.#world;
    const { events } = await session.call(operations.listEvents, tenantId, { connection_id: this.#connected.id });
    return events;
  }

  /** Does the provider's API take what was leased, carried as the lease says? */
  async #isTaken(leased: HttpAnswer): Promise<boolean> {
    return await isKeyTaken(this.#profile, leased);
  }
}

/** A registration at a provider whose credentials are made by hand: there is nothing to register us with. */
export async function registerForKeys(
  { session, tenantId }: Pick<ProviderWorld, 'session' | 'tenantId'>,
  { provider: id, client }: KeyProfile,
): Promise<string> {
  const provider = providerOf(loadCatalog(), id);
  const registrationId = newId('registration');
  await createClientRegistration(session, {
    ...{ tenantId, registrationId, providerId: provider.id, clientId: provider.id },
    ...{ displayName: provider.name, tokenEndpointAuthMethod: 'none', scopes: [] },
    parameters: { ...client.parameters },
  });
  return registrationId;
}

/** Does the provider's API take what was leased, carried as the lease says? */
export async function isKeyTaken({ api }: KeyProfile, { body }: HttpAnswer): Promise<boolean> {
  const { name, prefix } = body['sent_as'] as { name: string; prefix: string };
  const answer = await fetch(api.at, { headers: { [name]: `${prefix}${String(body['access_token'])}` } });
  return (await answer.text()) === JSON.stringify(api.alive);
}
