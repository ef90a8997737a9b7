import { existsSync, readFileSync, rmSync } from 'node:fs';

import { connectBus, lifeOf, type Bus } from '@postern/nats';
import { describeWithServer, temporaryDataDir } from '@postern/servers';
import { waitFor } from '@postern/testing';
import { createTenant, disableTenant, tenantEvolver } from '@postern/domain';
import { newId } from '@postern/contracts';

import { ensureKeys } from '../data-folder/keys.ts';
import { dataFolder, type DataFolder } from '../data-folder/paths.ts';
import { openSession, type Session } from '../session/session.ts';
import { startBus, type RunningBus } from '../up/start-bus.ts';
import { decideAdmin } from './decide.ts';
import { endNatsUsers, endNatsUsersOfTenant, natsUsersOf } from './platform-users.ts';
import { createPlatformWithAccess, disable, issueAccess, type PlatformAccess } from './platforms.ts';

/** The session of this spec ends with its user: longer than the spec takes, and short enough to see half of it. */
const identityTtlMs = 90_000;
const refused = { code: 'auth.forbidden' };

await describeWithServer('nats-server', 'platforms’ users of the bus', () => {
  const root = temporaryDataDir('postern-users-');
  const tenantId = newId('tenant');
  const buses: Bus[] = [];
  const problems: string[] = [];
  let folder: DataFolder;
  let bus: RunningBus;
  let session: Session;

  const open = () => openSession(folder, { natsUrl: bus.url, publicUrl: 'http://127.0.0.1:1', tenantId });
  const create = (owner = tenantId) =>
    createPlatformWithAccess(session, { tenantId: owner, name: 'p', returnUrls: [] });
  const connect = async ({ platformId, natsCreds }: PlatformAccess): Promise<Bus> => {
    const connected = await connectBus({
      servers: bus.url,
      creds: natsCreds.reveal(),
      identity: platformId,
      name: 'spec',
    });
    buses.push(connected);
    return connected;
  };

  beforeAll(async () => {
    folder = await dataFolder(root);
    await ensureKeys(folder, 'local');
    bus = await startBus(folder, { identityTtlMs, onProblem: (sentence) => problems.push(sentence) });
    session = await open();
  });
  afterAll(async () => {
    await Promise.all(buses.map((one) => one.close()));
    await session.close();
    await bus.kept.stop();
    rmSync(root, { recursive: true, force: true });
  });

  test('disabling a platform ends its connection, for ever, and nobody else’s', async () => {
    const [one, other] = [await create(), await create()];
    const [oneBus, otherBus] = [await connect(one), await connect(other)];
    await disable(session, { tenantId, platformId: one.platformId }, null);
    await oneBus.closed;
    await expect(connect(one)).rejects.toMatchObject(refused);
    expect(otherBus.isConnected).toBe(true);

    bus.kept
      .current()
      ?.kill()
      .catch(() => undefined);
    await waitFor(() => problems.length > 0, { describe: 'the server is gone' });
    await session.close();
    await waitFor(
      async () => {
        session = await open().catch(() => session);
        return session.bus.isConnected;
      },
      { timeoutMs: 30_000, describe: 'the server is back' },
    );
    await expect(connect(one)).rejects.toMatchObject(refused);
    expect((await connect(other)).isConnected).toBe(true);
  });

  test('rotating a platform’s credentials ends the user it had', async () => {
    const first = await create();
    const firstBus = await connect(first);
    const second = await issueAccess(session, { tenantId, platformId: first.platformId });
    await firstBus.closed;
    await expect(connect(first)).rejects.toMatchObject(refused);
    expect((await connect(second)).isConnected).toBe(true);
  });

  test('disabling a tenant ends the connections of all its platforms, and of no other tenant’s', async () => {
    const closing = newId('tenant');
    const how = { evolver: tenantEvolver, tenantId: closing, id: closing };
    await decideAdmin(session, how, (state) => createTenant({ name: 't' }, state));
    const theirs = await Promise.all([create(closing), create(closing)].map(async (made) => connect(await made)));
    const ours = await connect(await create());
    await decideAdmin(session, how, (state) => disableTenant({ reason: null }, state));
    await endNatsUsersOfTenant(session, closing);
    await Promise.all(theirs.map((one) => one.closed));
    expect(ours.isConnected).toBe(true);
  });

  test('two commands at once lose none of the users that they end', async () => {
    const made = await Promise.all([create(), create(), create()]);
    const users = await Promise.all(made.map(({ platformId }) => natsUsersOf(session, { tenantId, platformId })));
    await Promise.all(users.map((their) => endNatsUsers(session, their)));
    for (const access of made) await expect(connect(access)).rejects.toMatchObject(refused);
    expect(existsSync(`${folder.operatorFile}.lock`)).toBe(false);
  });

  test('every identity has its next user before the one it has is over', async () => {
    const life = () => lifeOf(readFileSync(folder.credsFile('vault'), 'utf8'));
    const { expiresAtMs } = life();
    await waitFor(() => life().expiresAtMs > expiresAtMs, {
      timeoutMs: identityTtlMs - 5_000,
      describe: 'the next user',
    });
    expect(Date.now()).toBeLessThan(expiresAtMs);
  });
});
