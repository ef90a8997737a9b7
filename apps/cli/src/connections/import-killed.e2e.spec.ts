import { limits, newId, operations } from '@postern/contracts';
import { createPlatform, leaseDecision, platformEvolver } from '@postern/domain';
import { importCrashPoints } from '@postern/service';
import { describeWithServer, type ManagedProcess } from '@postern/servers';
import { waitFor } from '@postern/testing';

import { sealedTo } from '../admin/sealed-to-vault.ts';
import { CrashWorld } from '../spec-support/crash-world.ts';

const setupMsMax = 300_000;
const killMsMax = 180_000;
const patienceMs = 120_000;
const connectionsEach = 5;

await describeWithServer('nats-server', 'an import whose process is killed', () => {
  const platformId = newId('platform');
  let world: CrashWorld;
  let authorization: ManagedProcess;

  beforeAll(async () => {
    world = await CrashWorld.open();
    const { session } = world;
    await session
      .repository(platformEvolver)
      .execute(
        { tenantId: session.defaultTenantId, id: platformId },
        (state) => createPlatform({ name: 'Movers', returnUrls: [] }, state),
        { actor: session.actor, correlationId: session.correlationId },
      );
    authorization = await start();
  }, setupMsMax);
  afterAll(async () => {
    await world?.close();
  });

  const importing = async (rows: readonly ReturnType<typeof rowOf>[], { dryRun = false } = {}) => {
    const { session } = world;
    const request = { platform_id: platformId, rows: [...rows], dry_run: dryRun };
    const options = { timeoutMs: limits.importTimeoutMs };
    return await session.call(operations.importConnections, session.defaultTenantId, request, options);
  };
  function rowOf(reference: string) {
    const { session, connections } = world;
    // Ended, so that nobody is asked about it: what is to be refreshed at once counts like any other.
    const tokens = {
      access_token: `at-${reference}`,
      refresh_token: `rt-${reference}`,
      expires_at: '2020-01-01T00:00:00Z',
    };
    const plaintext = Buffer.from(JSON.stringify(tokens));
    const protectedHeader = { ten: session.defaultTenantId };
    return {
      ...{ reference, registration_id: connections.registrationOf('stable'), end_user: 'ada', scopes: [] },
      sealed_tokens: sealedTo('authorization', session, { plaintext, protectedHeader }),
    };
  }
  const start = async () => await world.start('authorization', { preloaded: true });

  test.each(importCrashPoints)(
    '%s leaves all of it or nothing, and is finished by whoever sends it again',
    async (point) => {
      const isCommitted = point === 'after the import';
      const rows = Array.from({ length: connectionsEach }, (_, index) => rowOf(`${point} ${index}`));
      const { rows: tried } = await importing(rows, { dryRun: true });
      const ids = tried.map(({ connection_id: id }) => id ?? '');
      world.arm({ connectionId: ids[0] ?? '' }, point);
      await expect(importing(rows)).rejects.toMatchObject({ code: expect.stringMatching(/^bus\./) });
      await authorization.exited;
      authorization = await start();
      const states = async () => await Promise.all(ids.map((connectionId) => world.state({ connectionId })));
      const mayBeUsed = (await states()).map((state) => {
        try {
          const { tenantId } = state;
          return leaseDecision(state, { nowMs: Date.now(), tenantId, platformId }).kind;
        } catch (error) {
          return (error as { code: string }).code;
        }
      });
      expect(mayBeUsed).toEqual(ids.map(() => (isCommitted ? 'refresh' : 'connection.not_authorized')));
      const again = await waitFor(async () => await importing(rows).catch(() => undefined), {
        timeoutMs: patienceMs,
        describe: 'the import to be taken',
      });
      expect(again.rows.map(({ outcome }) => outcome)).toEqual(ids.map(() => (isCommitted ? 'existing' : 'imported')));
      const whole = (await states()).map(({ authorization: is, credential }) => [is, credential?.grant]);
      expect(whole).toEqual(ids.map(() => ['authorized', 'imported']));
    },
    killMsMax,
  );
});
