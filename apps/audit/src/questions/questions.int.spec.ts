import { newId, operations } from '@postern/contracts';
import * as domain from '@postern/domain';
import { waitFor } from '@postern/testing';

import { SpecPast } from './spec-past.ts';

const [shop, rival] = [newId('platform'), newId('platform')];
const [day, night, spy] = [newId('agent'), newId('agent'), newId('agent')];
const [crm, mail] = [newId('registration'), newId('registration')];

let past: SpecPast;
let [ada, grace, theirs] = ['', '', ''];
/** Moments as answers named them, by what had just happened. */
const moments: Record<string, string> = {};

beforeAll(async () => {
  past = await SpecPast.start();
  await past.administer(domain.tenantEvolver, past.tenantId, (state) => domain.createTenant({ name: 'T' }, state));
  for (const [id, name] of [
    [shop, 'shop'],
    [rival, 'rival'],
  ] as const) {
    await past.administer(domain.platformEvolver, id, (state) =>
      domain.createPlatform({ name, returnUrls: [] }, state),
    );
  }
  for (const [id, platformId, name] of [
    [day, shop, 'day'],
    [night, shop, 'night'],
    [spy, rival, 'spy'],
  ] as const) {
    await past.administer(domain.agentEvolver, id, (state) => domain.createAgent({ platformId, name }, state));
  }
  for (const id of [crm, mail]) {
    await past.administer(domain.registrationEvolver, id, (state) =>
      domain.createRegistration(
        {
          ...{ providerId: 'acme', displayName: id, clientId: id, tokenEndpointAuthMethod: 'none', parameters: {} },
          scopes: ['read', 'write'],
        },
        state,
      ),
    );
  }
  ada = await past.connect({ platformId: shop, registrationId: crm, scopes: ['read'] });
  moments['ada'] = await now();
  grace = await past.connect({ platformId: shop, registrationId: mail, scopes: ['read', 'write'] });
  theirs = await past.connect({ platformId: rival, registrationId: crm, scopes: ['read'] });
  await past.record({ connectionId: ada, platformId: shop, agentId: day, purpose: 'to read', scopes: ['read'] });
  await past.record({ connectionId: theirs, platformId: rival, agentId: spy });
  await past.record({ connectionId: ada, platformId: rival, agentId: spy, code: 'connection.not_found' });
  moments['used'] = await now();
  await past.decide('revocation', ada, (state) => domain.suspendConnection({ reason: null }, state));
  await past.administer(domain.agentEvolver, night, (state) => domain.disableAgent({ reason: null }, state));
  moments['suspended'] = await now();
  await past.decide('revocation', grace, (state) =>
    domain.revokeConnection({ cause: 'requested_by_administrator', reason: null }, state),
  );
  await past.decide('revocation', ada, (state) => domain.resumeConnection({ reason: null }, state));
  await past.record({ connectionId: grace, platformId: shop, agentId: night, code: 'connection.revoked' });
  moments['revoked'] = await now();
}, 120_000);
afterAll(() => past.stop());

/** The moment of now, over once it is told: what is written next has another time. */
async function now(): Promise<string> {
  const { moment, time } = (await past.ask(operations.whoDid, {})).answered_at;
  await waitFor(() => Promise.resolve(Date.now() > Date.parse(time)), { describe: 'the next millisecond' });
  return moment;
}
const could = async (at: string, request: object = {}, platformId?: string) =>
  await past.ask(operations.whoCould, { ...request, at: moments[at] ?? at }, platformId);
/** What could be used, in short. */
const usable = ({ connections }: Awaited<ReturnType<typeof could>>) =>
  Object.fromEntries(connections.map(({ connection_id: id, code }) => [id, code]));
const agents = ({ platforms }: Awaited<ReturnType<typeof could>>) =>
  Object.fromEntries(platforms.flatMap((one) => one.agents.map(({ agent_id: id, code }) => [id, code])));

describe('who could', () => {
  test('is answered under the registrations, policies and scopes of each moment', async () => {
    expect(usable(await could('ada'))).toEqual({ [ada]: null });
    expect(usable(await could('used'))).toEqual({ [ada]: null, [grace]: null, [theirs]: null });
    const suspended = await could('suspended');
    expect(usable(suspended)).toEqual({ [ada]: 'connection.suspended', [grace]: null, [theirs]: null });
    expect(agents(await could('used'))).toEqual({ [day]: null, [night]: null, [spy]: null });
    expect(agents(suspended)).toEqual({ [day]: null, [night]: 'agent.disabled', [spy]: null });
    expect(usable(await could('revoked'))).toEqual({ [ada]: null, [grace]: 'connection.revoked', [theirs]: null });
    expect(suspended.connections[1]).toMatchObject({ scope: ['read', 'write'], registration_id: mail, could: true });
  });

  test('is answered of one connection, agent or registration', async () => {
    expect(usable(await could('suspended', { connection_id: ada }))).toEqual({ [ada]: 'connection.suspended' });
    const reached = await could('used', { agent_id: spy });
    expect([usable(reached), agents(reached)]).toEqual([{ [theirs]: null }, { [spy]: null }]);
    const idle = await could('ada', { agent_id: spy });
    expect([usable(idle), agents(idle)]).toEqual([{}, { [spy]: null }]);
    expect(usable(await could('used', { registration_id: crm }))).toEqual({ [ada]: null, [theirs]: null });
  });

  test('page by page gives the same as at once', async () => {
    const first = await could('used', { limit: 2 });
    const second = await could(first.answered_at.moment, { limit: 2, after: first.next });
    expect([...first.connections, ...second.connections]).toEqual((await could('used')).connections);
    expect(second.next).toBeNull();
  });

  test('never tells nobody of what was not there', async () => {
    await expect(could('ada', { connection_id: grace })).rejects.toMatchObject({ code: 'connection.not_found' });
    await expect(could('ada', { agent_id: newId('agent') })).rejects.toMatchObject({ code: 'agent.not_found' });
    const registration = { registration_id: newId('registration') };
    await expect(could('ada', registration)).rejects.toMatchObject({ code: 'registration.not_found' });
  });
});

describe('scopes of a connection', () => {
  const scopes = async (connectionId: string, request: object = {}, platformId?: string) =>
    await past.ask(operations.connectionScopes, { connection_id: connectionId, ...request }, platformId);

  test('are asked, given and used: three facts', async () => {
    const told = await scopes(ada, {}, shop);
    expect(told).toMatchObject({
      asked: { scopes: ['read'], capabilities: null },
      given: { credential_version: 1, scopes: ['read'], not_given: [], not_asked: [] },
      ...{ drifts: [], could_be_dropped: [], certain: true, next: null, not_believed: [] },
      used: { leases: 1, without_scopes: 0, scopes: [{ scope: 'read', leases: 1 }] },
    });
  });

  test('that nobody could have used are told as such, and others that may have been', async () => {
    expect(await scopes(grace)).toMatchObject({
      used: { leases: 0 },
      certain: true,
      could_be_dropped: ['read', 'write'],
    });
    // Their one lease named no scopes.
    expect(await scopes(theirs)).toMatchObject({
      ...{ used: { leases: 1, without_scopes: 1, scopes: [] }, certain: false, could_be_dropped: ['read'] },
    });
  });

  test('are nobody else’s business', async () => {
    await expect(scopes(ada, {}, rival)).rejects.toMatchObject({ code: 'connection.not_found' });
    await expect(scopes(newId('connection'))).rejects.toMatchObject({ code: 'connection.not_found' });
  });
});

describe('who did', () => {
  const did = async (request: object = {}, platformId?: string) =>
    await past.ask(operations.whoDid, request, platformId);

  test('is answered with purpose, scopes and reason', async () => {
    const { uses, next } = await did({ connection_id: ada });
    expect(next).toBeNull();
    expect(uses).toMatchObject([
      {
        ...{ platform_id: shop, agent_id: day, purpose: 'to read', outcome: 'granted', code: null },
        ...{ scope: ['read'], asked_scopes: ['read'], credential_version: 1 },
      },
      { platform_id: rival, agent_id: spy, outcome: 'refused', code: 'connection.not_found', scope: null },
    ]);
  });

  test('between two moments, of one agent, of one outcome', async () => {
    const { used = '', revoked = '' } = moments;
    expect((await did({ at: used })).uses).toHaveLength(3);
    const later = (await did({ from: used, at: revoked })).uses;
    expect(later).toMatchObject([{ connection_id: grace, code: 'connection.revoked' }]);
    expect((await did({ agent_id: spy, outcome: 'granted' })).uses).toMatchObject([{ connection_id: theirs }]);
  });

  test('page by page gives the same as at once', async () => {
    const all = (await did({ at: moments['revoked'] })).uses;
    const paged = [];
    for (let after: string | undefined; ;) {
      const page = await did({ at: moments['revoked'], limit: 1, ...(after !== undefined && { after }) });
      paged.push(...page.uses);
      if (page.next === null) break;
      after = page.next;
    }
    expect(paged).toEqual(all);
  });

  test('believes no group that the vault did not sign, and says so', async () => {
    const { uses: before } = await did();
    await past.forge(JSON.stringify({ writer: 'forger', sequence: 1, records: [{ tenantId: past.tenantId }] }));
    const { uses, not_believed: foreign } = await did();
    expect(uses).toEqual(before);
    expect(foreign).toMatchObject([{ kind: 'foreign' }]);
  });
});

describe('a diff', () => {
  const diff = async (at: string, until: string, more: object = {}, platformId?: string) =>
    await past.ask(operations.diff, { at: moments[at] ?? at, until: moments[until] ?? until, ...more }, platformId);
  const all = async (at: string, until: string, { limit = 50, platformId = undefined as string | undefined } = {}) => {
    const changes = [];
    for (let after: string | undefined; ;) {
      const page = await diff(at, until, { limit, ...(after !== undefined && { after }) }, platformId);
      changes.push(...page.changes);
      if (page.next === null) return changes;
      after = page.next;
    }
  };

  test('tells what changed, and what appeared', async () => {
    const changes = await all('used', 'suspended');
    expect(changes).toMatchObject([
      { kind: 'agent', id: night, before: { disabled: false }, after: { disabled: true }, changed: ['disabled'] },
      { kind: 'connection', id: ada, before: { suspended: false }, after: { suspended: true }, changed: ['suspended'] },
    ]);
    const appeared = await all('ada', 'used');
    expect(appeared).toMatchObject([
      { id: grace, before: null },
      { id: theirs, before: null },
    ]);
  });

  test('tells once what was written often, also over pages, and what came back to what it was', async () => {
    const changes = await all('used', 'revoked', { limit: 1 });
    expect(changes).toEqual(await all('used', 'revoked'));
    expect(changes.map(({ id, changed }) => [id, changed])).toEqual([
      [night, ['disabled']],
      [ada, []],
      [grace, ['authorization', 'reason']],
    ]);
  });

  test('of a later moment before an earlier one is refused', async () => {
    await expect(diff('used', 'ada')).rejects.toMatchObject({ code: 'request.malformed' });
  });

  test('shows a platform its own alone', async () => {
    expect((await all('ada', 'revoked', { platformId: rival })).map(({ id }) => id)).toEqual([theirs]);
  });
});

describe('a platform', () => {
  test('asks about its own connections, agents and uses alone', async () => {
    const own = await could('used', {}, rival);
    expect([usable(own), agents(own)]).toEqual([{ [theirs]: null }, { [spy]: null }]);
    const { uses } = await past.ask(operations.whoDid, {}, rival);
    expect(new Set(uses.map(({ platform_id: id }) => id))).toEqual(new Set([rival]));
    const not = async (request: object) => await could('used', request, rival);
    await expect(not({ connection_id: ada })).rejects.toMatchObject({ code: 'connection.not_found' });
    await expect(not({ agent_id: day })).rejects.toMatchObject({ code: 'agent.not_found' });
    await expect(not({ platform_id: shop })).rejects.toMatchObject({ code: 'platform.not_found' });
    expect((await past.ask(operations.whoDid, { platform_id: shop }, rival)).uses).toEqual([]);
  });

  test('of another tenant sees nothing', async () => {
    const stranger = newId('tenant');
    await past.administer(
      domain.tenantEvolver,
      stranger,
      (state) => domain.createTenant({ name: 'S' }, state),
      stranger,
    );
    const [ours, strange] = [newId('connection'), newId('connection')];
    await past.record(
      { connectionId: ours, platformId: shop, agentId: day, code: 'connection.not_found' },
      { connectionId: strange, platformId: shop, agentId: day, code: 'connection.not_found', tenantId: stranger },
    );
    // One group holds both, and each sees its own.
    const [left, right] = [await past.askAs(stranger, operations.whoDid, {}), await past.ask(operations.whoDid, {})];
    expect(left.uses).toMatchObject([{ connection_id: strange }]);
    expect(right.uses.filter(({ position }) => position === left.uses[0]?.position)).toMatchObject([
      { connection_id: ours },
    ]);
    expect((await past.askAs(stranger, operations.whoCould, {})).connections).toEqual([]);
    await expect(past.askAs(stranger, operations.whoCould, { connection_id: ada })).rejects.toMatchObject({
      code: 'connection.not_found',
    });
  });
});

describe('a moment', () => {
  test('gives the same answer whenever it is asked about, byte for byte', async () => {
    const asked = async () =>
      JSON.stringify([
        await could('used'),
        await past.ask(operations.whoDid, { at: moments['used'] }),
        await past.ask(operations.diff, { at: moments['ada'] ?? '', until: moments['used'] }),
      ]);
    const before = await asked();
    await past.decide('revocation', theirs, (state) =>
      domain.revokeConnection({ cause: 'requested_by_platform', reason: null }, state),
    );
    await past.administer(domain.platformEvolver, rival, (state) => domain.disablePlatform({ reason: null }, state));
    await past.record({ connectionId: ada, platformId: shop, agentId: day });
    expect(await asked()).toBe(before);
    expect(usable(await could(await now()))).toMatchObject({ [theirs]: 'connection.revoked' });
  });

  test('is a time, or a position of CONNECTIONS, too', async () => {
    const { time, connections, access, admin } = (await could('suspended')).answered_at;
    const atTime = await past.ask(operations.whoCould, { at: time });
    expect(atTime.answered_at).toMatchObject({ connections, access, admin });
    const atPosition = await past.ask(operations.whoCould, { at: `${connections}` });
    expect(usable(atPosition)).toEqual(usable(await could('suspended')));
    expect(atPosition.answered_at).toMatchObject({ connections });
  });

  test('that has not come, or names what is not there, is refused', async () => {
    for (const at of ['2999-01-01T00:00:00Z', '99999999', `99999999/1/1@${new Date().toISOString()}`, 'tomorrow']) {
      await expect(could(at)).rejects.toMatchObject({ code: 'request.malformed' });
    }
  });
});
