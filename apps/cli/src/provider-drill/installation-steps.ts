import { generateKeyPairSync } from 'node:crypto';

import { newId } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { waitFor } from '@postern/testing';

import { createClientRegistration, storePrivateKey } from '../admin/registrations.ts';
import type { HttpAnswer } from '../demo/platform-client.ts';
import { expectThat } from '../demo/expect-that.ts';
import { ask, establish, eventsOf, leaseOf } from './established.ts';
import type { ProviderWorld } from './provider-world.ts';
import { takeSteps, type StepResult } from './steps.ts';

/** The machine may have other things to do. */
const patienceMs = 90_000;
const repositories = 'https://api.github.com/installation/repositories';

/** The row of the table for tokens of installations. */
export const installationRow = Object.freeze({ id: 'github-app-installation', name: 'GitHub App (installation)' });

const ok = (note = ''): StepResult => ({ result: 'ok', note });

/** Takes an app with a key of its own, and its installations, through the columns of the table. */
export async function walkThroughInstallations(world: ProviderWorld): Promise<Readonly<Record<string, StepResult>>> {
  const walk = new InstallationWalk(world);
  const steps: Readonly<Record<string, () => Promise<StepResult>>> = {
    connect: () => walk.connect(),
    lease: () => walk.lease(),
    refresh: () => walk.refresh(),
    'its signal': async () => ({ result: 'does not apply', note: 'its notices are those of the app' }),
    'found by asking': () => walk.foundByAsking(),
    'by us': () => walk.byUs(),
  };
  return await takeSteps(Object.entries(steps));
}

class InstallationWalk {
  readonly #world: ProviderWorld;
  #installationId = '';
  #publicJwk: object = {};
  #registrationId = '';
  #id = '';

  constructor(world: ProviderWorld) {
    this.#world = world;
  }

  async connect(): Promise<StepResult> {
    const { session, tenantId, internet } = this.#world;
    // GitHub makes the key and shows it once.
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
    this.#publicJwk = publicKey.export({ format: 'jwk' });
    const { clientId, installationId } = await internet.installApp(this.#publicJwk);
    this.#installationId = installationId;
    this.#registrationId = newId('registration');
    const of = { tenantId, registrationId: this.#registrationId };
    await createClientRegistration(session, {
      ...{ ...of, providerId: installationRow.id, clientId, displayName: installationRow.name },
      ...{ tokenEndpointAuthMethod: 'none', parameters: {}, scopes: [], signs: true },
    });
    const key = Secret.from(privateKey.export({ format: 'pem', type: 'pkcs1' }).toString());
    await storePrivateKey(session, { ...of, key });
    const tooMuch = await this.#establish({ permissions: { contents: 'admin' } });
    expectThat('what the app may not do is refused', tooMuch.body['code'] === 'provider.rejected', tooMuch);
    const made = await this.#establish({ repositories: ['crm'], permissions: { contents: 'read' } });
    expectThat('the connection was established', made.status === 201, made);
    expectThat('it is as narrow as was asked', String(made.body['scope']) === 'contents:read,metadata:read', made);
    this.#id = String(made.body['connection_id']);
    return ok('by a JWT of the app');
  }

  async lease(): Promise<StepResult> {
    const leased = await this.#lease();
    expectThat('the lease was granted', leased.status === 200, leased.body['code']);
    expectThat('GitHub takes the token', await isTaken(leased));
    return ok('3600 s');
  }

  async refresh(): Promise<StepResult> {
    const before = await this.#lease();
    const asked = await this.#request('refresh');
    expectThat('it was renewed', asked.status === 200, asked);
    const after = await this.#lease();
    const isOther = after.body['access_token'] !== before.body['access_token'];
    expectThat('the token is another one, which GitHub takes', isOther && (await isTaken(after)));
    expectThat('the one of before lives on', await isTaken(before));
    return ok('by another JWT');
  }

  async foundByAsking(): Promise<StepResult> {
    const { internet } = this.#world;
    const { installationId } = await internet.installApp(this.#publicJwk);
    const made = await this.#establish({ installation_id: installationId });
    const id = String(made.body['connection_id']);
    await internet.uninstallApp(installationId);
    const asked = await this.#request('refresh', {}, id);
    expectThat('the renewal is refused', asked.body['code'] === 'connection.reauthorization_required', asked.body);
    const refused = await this.#lease(id);
    expectThat('nobody is sent anywhere', refused.body['reauthorize_url'] === undefined, refused.body);
    return ok(`by a renewal: ${String(refused.body['code'])}`);
  }

  async byUs(): Promise<StepResult> {
    const revoked = await this.#request('revoke', { reason: 'the table of providers' });
    expectThat('it was revoked', revoked.status === 200, revoked);
    expectThat('leases are refused', (await this.#lease()).body['code'] === 'connection.revoked');
    const told = await waitFor(
      async () => (await eventsOf(this.#world, this.#id)).find(({ type }) => type.startsWith('UpstreamRevocation')),
      { timeoutMs: patienceMs, describe: 'GitHub to be told' },
    );
    expectThat('GitHub was told', told.type === 'UpstreamRevocationCompleted', told.data);
    return ok('here and there');
  }

  async #establish(narrowed: object): Promise<HttpAnswer> {
    const grant = { type: 'installation', installation_id: this.#installationId, ...narrowed };
    return await establish(this.#world, { registration_id: this.#registrationId, grant });
  }

  async #lease(id = this.#id): Promise<HttpAnswer> {
    return await leaseOf(this.#world, id);
  }

  async #request(what: string, body: object = {}, id = this.#id): Promise<HttpAnswer> {
    return await ask(this.#world, { id, what, body });
  }
}

async function isTaken({ body }: HttpAnswer): Promise<boolean> {
  const authorization = `Bearer ${String(body['access_token'])}`;
  return (await fetch(repositories, { headers: { authorization } })).status === 200;
}
