import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { newId } from '@postern/contracts';
import { createRegistration, registrationEvolver } from '@postern/domain';
import { describeWithServer } from '@postern/servers';

import * as admin from '../admin/administrator-commands.ts';
import { makeAdministratorKey } from '../admin/administrator-key.ts';
import { decideAdmin } from '../admin/decide.ts';
import type { SessionRun } from '../run-command.ts';
import { openLogHouse, type LogHouse } from '../spec-support/log-house.ts';
import { approve, deny, request, review } from './approvals.ts';

type Command = (run: SessionRun) => Promise<void>;

await describeWithServer('nats-server', 'postern admin and postern providers request|review|approve', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-approvals-'));
  const file = (name: string) => join(folder, 'people', name);
  let house: LogHouse;

  beforeAll(async () => {
    house = await openLogHouse(join(folder, 'data'));
    for (const name of ['ada', 'grace', 'eve']) makeAdministratorKey(file(name), house.folder);
  });

  afterAll(async () => {
    await house.stop();
    rmSync(folder, { recursive: true });
  });

  async function run(command: Command, args: string[], options: Record<string, unknown> = {}) {
    const heard = { lines: [] as string[], value: {} as Record<string, unknown> };
    const printer: SessionRun['printer'] = {
      json: false,
      result: (value, lines) => void Object.assign(heard, { value, lines: lines() }),
      line: () => undefined,
      error: () => undefined,
    };
    const { session, tenantId } = house;
    const given = { scope: [], ...options };
    await command({ session, tenantId, printer, globals: {}, args, options: given });
    return heard;
  }
  const as = (name: string) => ({ as: file(name) });
  const add = (name: string, options: object = {}) =>
    run(admin.add, [name], { publicKey: `${file(name)}.pub`, ...options });
  const idOf = async (name: string) => {
    const { value } = await run(admin.policy, []);
    const all = value['administrators'] as { administrator_id: string; name: string }[];
    return all.find((one) => one.name === name)?.administrator_id ?? '';
  };
  const linear = ['linear'];

  test('a key of one’s own is private, is made once, and not in the data folder', () => {
    expect(statSync(file('ada')).mode & 0o777).toBe(0o600);
    expect(readFileSync(`${file('ada')}.pub`, 'utf8')).not.toContain('"d"');
    const malformed = expect.objectContaining({ code: 'request.malformed' });
    expect(() => makeAdministratorKey(file('ada'), house.folder)).toThrow(malformed);
    expect(() => makeAdministratorKey(join(house.folder.root, 'key'), house.folder)).toThrow(malformed);
  });

  test('the first administrator comes with the data folder, every other one by one who is there', async () => {
    expect((await add('ada')).lines[1]).toMatch(/ada +.* +the data folder +signs$/);
    await expect(add('grace')).rejects.toMatchObject({ code: 'administrator.signature_required' });
    await expect(add('grace', as('eve'))).rejects.toMatchObject({ code: 'administrator.not_found' });
    await expect(add('ada', as('ada'))).rejects.toMatchObject({ code: 'administrator.exists' });
    await expect(run(admin.add, ['x'], { publicKey: file('eve'), ...as('ada') })).rejects.toMatchObject({
      code: 'request.malformed',
    });
    const required = { approvals: 'required', ...as('ada') };
    await expect(run(admin.policy, [], required)).rejects.toMatchObject({ code: 'governance.too_few' });
    await add('grace', as('ada'));
    const { value } = await run(admin.policy, [], required);
    expect(value).toMatchObject({ approvals: 'required', high_risk_connections: 'own' });
    await expect(run(admin.policy, [], { highRisk: 'some', ...as('ada') })).rejects.toMatchObject({
      code: 'request.malformed',
    });
  });

  test('who asks does not approve; a second one sees what it is, and does', async () => {
    const asked = await run(request, linear, { scope: ['read', 'issues:create'], reason: 'desk', ...as('ada') });
    expect(asked.lines).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^\+ +issues:create +write$/),
        expect.stringMatching(/^\+ +api\.linear\.app +host$/),
        'worst risk: write',
        'approved: nothing',
        expect.stringMatching(/^open: request 1 of adm_.*: desk$/),
      ]),
    );
    await expect(run(approve, linear, as('ada'))).rejects.toMatchObject({ code: 'approval.own_request' });
    await expect(run(approve, linear, as('eve'))).rejects.toMatchObject({ code: 'administrator.not_found' });
    await expect(run(approve, linear)).rejects.toMatchObject({ code: 'administrator.signature_required' });
    const { value } = await run(approve, linear, as('grace'));
    expect(value).toMatchObject({ open: null, approved: { number: 1, risk: 'write' } });
    await expect(run(approve, linear, as('grace'))).rejects.toMatchObject({ code: 'approval.nothing_open' });
  });

  test('more is shown beside what there is; a no leaves that, and a second no withdraws it', async () => {
    await run(request, linear, { scope: ['admin'], ...as('grace') });
    const { lines } = await run(review, linear);
    expect(lines).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^\+ +admin +admin$/),
        expect.stringMatching(/^ +read +read$/),
        'worst risk: write, then admin',
      ]),
    );
    expect((await run(deny, linear, { reason: 'too much', ...as('ada') })).value).toMatchObject({
      open: null,
      approved: { number: 1 },
    });
    expect((await run(deny, linear, as('ada'))).value).toMatchObject({ open: null, approved: null });
  });

  test('where only a registration names the host, it is asked for with one', async () => {
    const openid = ['openid-connect'];
    await expect(run(request, openid, as('ada'))).rejects.toMatchObject({ code: 'request.malformed' });
    const target = { evolver: registrationEvolver, tenantId: house.tenantId, id: newId('registration') };
    const facts = { providerId: 'openid-connect', displayName: 'A', clientId: 'c' };
    const more = { parameters: { issuer: 'https://login.example.com' }, scopes: ['openid'] };
    await decideAdmin(house.session, target, (state) =>
      createRegistration({ ...facts, ...more, tokenEndpointAuthMethod: 'none' }, state),
    );
    const { value } = await run(request, openid, { registration: target.id, ...as('ada') });
    expect(value).toMatchObject({ open: { hosts: ['login.example.com'], scopes: ['openid'], risk: 'unknown' } });
    const wrong = { registration: target.id, ...as('ada') };
    await expect(run(request, linear, wrong)).rejects.toMatchObject({ code: 'registration.not_found' });
  });

  test('who is removed signs nothing more; two stay while two are needed', async () => {
    const grace = await idOf('grace');
    await expect(run(admin.remove, [grace], as('ada'))).rejects.toMatchObject({ code: 'administrator.last' });
    await add('eve', as('grace'));
    await run(admin.remove, [grace], as('ada'));
    await expect(run(admin.policy, [], { approvals: 'none', ...as('grace') })).rejects.toMatchObject({
      code: 'administrator.not_found',
    });
    expect((await run(admin.policy, [], { approvals: 'none', ...as('eve') })).value).toMatchObject({
      approvals: 'none',
    });
  });
});
