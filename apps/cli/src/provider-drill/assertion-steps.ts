import { generateKeyPairSync } from 'node:crypto';

import { newId } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { waitFor, type AssertionProfile } from '@postern/testing';

import { createClientRegistration, storePrivateKey } from '../admin/registrations.ts';
import { expectThat } from '../demo/expect-that.ts';
import type { HttpAnswer } from '../demo/platform-client.ts';
import { ask, establish, eventsOf, leaseOf } from './established.ts';
import type { ProviderWorld } from './provider-world.ts';
import { takeSteps, type StepResult } from './steps.ts';

/** The machine may have other things to do. */
const patienceMs = 90_000;
const secondsOfDoubt = 120;

const ok = (note = ''): StepResult => ({ result: 'ok', note });

/** Takes a provider that issues tokens for assertions through the columns of the table. */
export async function walkThroughAssertions(
  world: ProviderWorld,
  profile: AssertionProfile,
): Promise<Readonly<Record<string, StepResult>>> {
  const walk = new AssertionWalk(world, profile);
  const steps: Readonly<Record<string, () => Promise<StepResult>>> = {
    connect: () => walk.connect(),
    lease: () => walk.lease(),
    refresh: () => walk.refresh(),
    'its signal': async () => ({ result: 'does not apply', note: 'no notice of it is known' }),
    'found by asking': () => walk.foundByAsking(),
    'by us': () => walk.byUs(),
  };
  return await takeSteps(Object.entries(steps));
}

interface Registered {
  readonly registrationId: string;
  readonly clientId: string;
}

class AssertionWalk {
  readonly #world: ProviderWorld;
  readonly #profile: AssertionProfile;
  #registered: Registered = { registrationId: '', clientId: '' };
  #id = '';

  constructor(world: ProviderWorld, profile: AssertionProfile) {
    this.#world = world;
    this.#profile = profile;
  }

  /** For whom it is approved, and for nobody else. */
  async connect(): Promise<StepResult> {
    this.#registered = await this.#register();
    const stranger = await this.#establish({ subject: 'grace@elsewhere.example' });
    expectThat('a stranger is refused', stranger.body['code'] === 'provider.rejected', stranger.body);
    const { wantsSubject, scopes, subject } = this.#profile;
    const nobody = await this.#establish({});
    const said = wantsSubject ? nobody.body['code'] === 'request.malformed' : nobody.status === 201;
    expectThat('the file knows whether somebody must be named', said, nobody.body);
    const made = await this.#establish({ subject });
    expectThat('the connection was established', made.status === 201, made.body);
    const granted = String(made.body['scope']);
    expectThat('it is for what was approved', granted === scopes.approved.join(','), granted);
    this.#id = String(made.body['connection_id']);
    return ok('by a JWT, for one of its users');
  }

  async lease(): Promise<StepResult> {
    const leased = await this.#lease();
    expectThat('the lease was granted', leased.status === 200, leased.body['code']);
    expectThat('the provider takes the token', await this.#isTaken(leased));
    const { accessTokenTtlS } = this.#profile;
    const livesS = leased.body['expires_in'];
    const fits =
      typeof livesS === 'number' && accessTokenTtlS !== null
        ? Math.abs(livesS - accessTokenTtlS) < secondsOfDoubt
        : livesS === accessTokenTtlS;
    expectThat(`its end is known: ${accessTokenTtlS} s`, fits, { livesS });
    return ok(accessTokenTtlS === null ? 'has no end' : `${accessTokenTtlS} s`);
  }

  async refresh(): Promise<StepResult> {
    const before = await this.#lease();
    const asked = await ask(this.#world, { id: this.#id, what: 'refresh' });
    expectThat('it was renewed', asked.status === 200, asked.body);
    const after = await this.#lease();
    const isOther = after.body['access_token'] !== before.body['access_token'];
    expectThat('the token is another one, which the provider takes', isOther && (await this.#isTaken(after)));
    expectThat('the one of before lives on', await this.#isTaken(before));
    return ok('by another JWT');
  }

  /** The administrator takes back what was approved. */
  async foundByAsking(): Promise<StepResult> {
    const { registrationId, clientId } = await this.#register();
    const made = await this.#establish({ subject: this.#profile.subject }, registrationId);
    const id = String(made.body['connection_id']);
    await this.#world.internet.withdrawApproval(clientId);
    const asked = await ask(this.#world, { id, what: 'refresh' });
    expectThat('the renewal is refused', asked.body['code'] === 'connection.reauthorization_required', asked.body);
    const refused = await this.#lease(id);
    expectThat('nobody is sent anywhere', refused.body['reauthorize_url'] === undefined, refused.body);
    return ok(`by a renewal: ${String(refused.body['code'])}`);
  }

  async byUs(): Promise<StepResult> {
    const leased = await this.#lease();
    const revoked = await ask(this.#world, {
      ...{ id: this.#id, what: 'revoke', body: { reason: 'the table of providers' } },
    });
    expectThat('it was revoked', revoked.status === 200, revoked.body);
    expectThat('leases are refused', (await this.#lease()).body['code'] === 'connection.revoked');
    const told = await waitFor(
      async () =>
        (await eventsOf(this.#world, this.#id)).find(
          ({ type, data }) =>
            type === 'UpstreamRevocationCompleted' || (type === 'UpstreamRevocationFailed' && data['final'] === true),
        ),
      { timeoutMs: patienceMs, describe: 'the provider to be told' },
    );
    const isRevocable = this.#profile.revocation !== null;
    expectThat(
      'the log knows whether it was told',
      (told.type === 'UpstreamRevocationCompleted') === isRevocable,
      told.data,
    );
    expectThat('the token is dead there where it was', (await this.#isTaken(leased)) !== isRevocable);
    return ok(isRevocable ? 'here and there' : 'here; the token lives there to its end');
  }

  /** The key is made at the provider, or told to it, and imported. */
  async #register(): Promise<Registered> {
    const { session, tenantId, internet } = this.#world;
    const { id, provider, name, client, scopes } = this.#profile;
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
    const clientId = await internet.registerKey(id, publicKey.export({ format: 'jwk' }));
    const of = { tenantId, registrationId: newId('registration') };
    await createClientRegistration(session, {
      ...{ ...of, providerId: provider, clientId, displayName: name, tokenEndpointAuthMethod: 'none', signs: true },
      ...{ parameters: { ...client.parameters }, scopes: [...scopes.approved] },
    });
    const key = Secret.from(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
    await storePrivateKey(session, { ...of, key });
    return { registrationId: of.registrationId, clientId };
  }

  async #establish(of: object, registrationId = this.#registered.registrationId): Promise<HttpAnswer> {
    const { from, approved } = this.#profile.scopes;
    const scopes = from === 'claim' ? { scopes: [...approved] } : {};
    const grant = { type: 'jwt_bearer', ...of };
    return await establish(this.#world, { registration_id: registrationId, grant, ...scopes });
  }

  async #lease(id = this.#id): Promise<HttpAnswer> {
    return await leaseOf(this.#world, id);
  }

  async #isTaken({ body }: HttpAnswer): Promise<boolean> {
    const { at, alive } = this.#profile.api;
    const answer = await fetch(at, { headers: { authorization: `Bearer ${String(body['access_token'])}` } });
    return (await answer.text()) === JSON.stringify(alive);
  }
}
