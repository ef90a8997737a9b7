import { loadCatalog, providerOf, type Provider } from '@postern/provider-catalog';
import { waitFor, type ProviderProfile } from '@postern/testing';

import { expectThat } from '../demo/expect-that.ts';
import { ProviderConnection } from './connection.ts';
import { registerAt, type ProfileClient, type ProviderWorld } from './provider-world.ts';

/** The machine may have other things to do. */
const patienceMs = 90_000;
const secondsOfDoubt = 120;

/** What a step came to; a step that does not apply says why. */
export interface StepResult {
  readonly result: 'ok' | 'failed' | 'does not apply';
  readonly note: string;
}

const ok = (note = ''): StepResult => ({ result: 'ok', note });
const doesNotApply = (note: string): StepResult => ({ result: 'does not apply', note });

/** One provider of the table, and what its steps found out for those that follow. */
interface Walk {
  readonly world: ProviderWorld;
  readonly profile: ProviderProfile;
  readonly provider: Provider;
  client: ProfileClient | undefined;
  connection: ProviderConnection | undefined;
}

/** The columns of the table. */
export const steps: Readonly<Record<string, (walk: Walk) => Promise<StepResult>>> = {
  connect,
  lease,
  refresh,
  'its signal': itsSignal,
  'found by asking': foundByAsking,
  'by us': byUs,
};

/** Takes one provider through every step; after a failed `connect` there is nothing more to see. */
export async function walkThrough(
  world: ProviderWorld,
  profile: ProviderProfile,
): Promise<Readonly<Record<string, StepResult>>> {
  const provider = providerOf(loadCatalog(), profile.provider);
  const walk: Walk = { world, profile, provider, client: undefined, connection: undefined };
  return await takeSteps(Object.entries(steps).map(([name, step]) => [name, () => step(walk)]));
}

/** One after the other; what throws has failed, and the next is taken all the same. */
export async function takeSteps(
  named: readonly (readonly [name: string, step: () => Promise<StepResult>])[],
): Promise<Readonly<Record<string, StepResult>>> {
  const results: Record<string, StepResult> = {};
  for (const [name, step] of named) {
    try {
      results[name] = await step();
    } catch (error) {
      results[name] = { result: 'failed', note: error instanceof Error ? error.message : String(error) };
    }
  }
  return results;
}

async function connect(walk: Walk): Promise<StepResult> {
  walk.client = await registerAt(walk.world, walk.profile);
  walk.connection = await another(walk);
  return ok();
}

async function lease(walk: Walk): Promise<StepResult> {
  const connection = connected(walk);
  const leased = await connection.lease();
  expectThat('the lease was granted', leased.status === 200, leased.body['code'] ?? leased.status);
  expectThat('the provider takes the token', await connection.isTaken(leased.body['access_token']));
  const { accessTokenTtlS } = walk.profile;
  const freshness = leased.body['freshness'] as { credential_expires_at: string | null };
  const endsAt = freshness.credential_expires_at;
  const livesS = endsAt === null ? null : (Date.parse(endsAt) - Date.now()) / 1_000;
  const fits =
    livesS === null || accessTokenTtlS === null
      ? livesS === accessTokenTtlS
      : Math.abs(livesS - accessTokenTtlS) < secondsOfDoubt;
  expectThat(`its end is known: ${accessTokenTtlS} s`, fits, { livesS });
  return ok(accessTokenTtlS === null ? 'has no end' : `${accessTokenTtlS} s`);
}

async function refresh(walk: Walk): Promise<StepResult> {
  const { profile, provider } = walk;
  const connection = connected(walk);
  const before = await connection.lease();
  const asked = await connection.request('refresh');
  if (profile.refresh === null) {
    expectThat('nothing is refreshed', asked.status === 409, asked);
    return doesNotApply('no refresh tokens');
  }
  expectThat('it was refreshed', asked.status === 200, asked);
  const { refreshes } = await connection.grant();
  expectThat('the provider saw one refresh', refreshes === 1, { refreshes });
  const after = await connection.lease();
  const [old, fresh] = [before.body['access_token'], after.body['access_token']];
  expectThat('the token is another one, which the provider takes', old !== fresh && (await connection.isTaken(fresh)));
  const oldLives = await connection.isTaken(old);
  expectThat('the file knows whether the token of before lives', oldLives || provider.refresh.endsAccessToken);
  return ok([profile.refresh.rotates ? 'rotates' : 'stays', ...(oldLives ? [] : ['ends the old token'])].join(', '));
}

/** Somebody takes the app's access away, and the provider says so. */
async function itsSignal(walk: Walk): Promise<StepResult> {
  const { notice, noticeFindsNobody } = walk.profile;
  if (notice === null) return doesNotApply('no notice of it is known');
  const connection = await another(walk);
  const status = await connection.takeAway({ silently: false });
  expectThat('its notice was taken', status === 200 || status === 202, status);
  if (noticeFindsNobody !== undefined) return doesNotApply(`is taken, but ${noticeFindsNobody}`);
  const code = await refusedWith(connection);
  // So soon after the grant a notice may be about an earlier one: the provider is asked, and the suspicion names it.
  const heard = (await connection.events()).find(({ type }) =>
    ['ConnectionRevoked', 'RevocationSuspected'].includes(type),
  );
  const { type } = (heard?.data['evidence'] ?? {}) as Record<string, unknown>;
  expectThat('the log names the signal', type !== undefined, heard?.data);
  return ok(`${String(type).split('/').at(-1)}: ${code}`);
}

/** Somebody takes it away and nobody says a word. */
async function foundByAsking(walk: Walk): Promise<StepResult> {
  const connection = await another(walk);
  const leased = await connection.lease();
  await connection.takeAway({ silently: true });
  if (walk.profile.refresh !== null) {
    const asked = await connection.request('refresh');
    expectThat(
      'the refresh says that only the person can help',
      asked.body['code'] === 'connection.reauthorization_required',
      asked.body,
    );
    return ok(`by a refresh: ${await refusedWith(connection)}`);
  }
  if (walk.provider.api.tokenProbe === null) return doesNotApply('no refresh, and no call that would tell');
  const reported = await connection.request('rejections', {
    ...{ lease_id: leased.body['lease_id'], credential_version: leased.body['credential_version'], status: 401 },
  });
  expectThat('the report was taken', reported.status === 200, reported);
  return ok(`by a platform’s report: ${await refusedWith(connection)}`);
}

async function byUs(walk: Walk): Promise<StepResult> {
  const connection = connected(walk);
  const leased = await connection.lease();
  const revoked = await connection.request('revoke', { reason: 'the table of providers' });
  expectThat('it was revoked', revoked.status === 200, revoked);
  const refused = await connection.lease();
  expectThat('leases are refused', refused.body['code'] === 'connection.revoked', refused.body);
  const told = await waitFor(
    async () =>
      (await connection.events()).find(
        ({ type, data }) =>
          type === 'UpstreamRevocationCompleted' || (type === 'UpstreamRevocationFailed' && data['final'] === true),
      ),
    { timeoutMs: patienceMs, describe: 'the provider to be told' },
  );
  const isOver = !(await connection.isTaken(leased.body['access_token']));
  if (!walk.profile.revocable) {
    expectThat('it is known that the provider cannot be told', told.type === 'UpstreamRevocationFailed', told);
    return ok('here; the provider cannot be told');
  }
  expectThat('the provider was told', told.type === 'UpstreamRevocationCompleted', told.data);
  expectThat('the token is dead there', isOver);
  const { ended, oldTokens } = await connection.grant();
  expectThat('nothing can be had by the grant any more', ended);
  return ok(oldTokens === 0 ? 'here and there' : 'here and there; a token of before the refresh lives to its end');
}

async function another({ world, profile, client }: Walk): Promise<ProviderConnection> {
  if (client === undefined) throw new Error('there is no client');
  return await ProviderConnection.make(world, profile, client);
}

function connected({ connection }: Walk): ProviderConnection {
  if (connection === undefined) throw new Error('there is no connection');
  return connection;
}

/** @returns the code with which leases are refused, once they are for good. */
async function refusedWith(connection: ProviderConnection): Promise<string> {
  const final = ['connection.revoked', 'connection.reauthorization_required'];
  return await waitFor(
    async () => {
      const { body } = await connection.lease();
      const { code } = body;
      return typeof code === 'string' && final.includes(code) ? code : undefined;
    },
    { timeoutMs: patienceMs, describe: 'a lease to be refused' },
  );
}
