import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { administratorToken, limits, newId, operations, type Operation, type ReplyOf } from '@postern/contracts';
import { callOperation, createOperator, serverOperatorConfig, type RequestInput } from '@postern/nats';
import { describeWithServer, startNatsServer, type NatsServer } from '@postern/servers';
import { startService, type RunningService } from '@postern/service';
import { waitFor } from '@postern/testing';

import { revocationService } from './index.ts';
import { SmallVault } from './spec-support/small-vault.ts';
import { World, type Party } from './spec-support/world.ts';

const quiet = { write: () => undefined };

await describeWithServer('nats-server', 'commands that end or suspend a connection', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-revocation-'));
  let server: NatsServer;
  let world: World;
  let service: RunningService;
  let vaults: SmallVault[] = [];

  beforeAll(async () => {
    const bundle = await createOperator();
    server = await startNatsServer({
      dataDir: join(folder, 'nats'),
      config: { operatorMode: serverOperatorConfig(bundle) },
    });
    world = await World.make(server.url, bundle, join(folder, 'files'));
  });
  beforeEach(async () => {
    service = await startService(revocationService, world.env, { logDestination: quiet, checkReplies: true });
  });
  afterEach(async () => {
    for (const vault of vaults) await vault.stop();
    vaults = [];
    await service.stop();
  });
  afterAll(async () => {
    await world?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const vaultNamed = async (instance: string, confirming: SmallVault['confirming'] = 'at once') => {
    const vault = new SmallVault(world, instance);
    vault.confirming = confirming;
    vaults.push(vault);
    return await vault.start();
  };
  const ask = async <O extends Operation>(
    ...[operation, party, request]: [O, Party, RequestInput<O>]
  ): Promise<ReplyOf<O>> => {
    const bus =
      party.platformId === administratorToken ? await world.bus('administrator') : await world.platformBus(party);
    return await callOperation(bus, operation, party, request);
  };
  const connectionOf = async (party: Party) => {
    const connection = await world.connected(party);
    return { ...connection, request: { connection_id: connection.connectionId } };
  };

  describe('what is decided', () => {
    beforeEach(async () => void (await vaultNamed('vault-1')));

    test('a platform revokes its connection, and the log says who and why', async () => {
      const party = await world.newPlatform();
      const connection = await connectionOf(party);
      const reply = await ask(operations.revokeConnection, party, { ...connection.request, reason: 'left' });
      expect(reply).toMatchObject({ connection_id: connection.connectionId, freshness: { health: 'revoked' } });
      const commits = await world.historyOf(connection);
      const commit = commits.find(({ position }) => position === reply.position)?.commit;
      expect(commit).toMatchObject({
        actor: { type: 'platform', id: party.platformId },
        events: [{ type: 'ConnectionRevoked', data: { cause: 'requested_by_platform', reason: 'left' } }],
      });
    });

    test('an administrator may, for any platform of the tenant', async () => {
      const party = await world.newPlatform();
      const connection = await connectionOf(party);
      const administrator = { ...party, platformId: administratorToken };
      const reply = await ask(operations.revokeConnection, administrator, connection.request);
      const commits = await world.historyOf(connection);
      expect(commits.find(({ position }) => position === reply.position)?.commit).toMatchObject({
        actor: { type: 'administrator' },
        events: [{ type: 'ConnectionRevoked', data: { cause: 'requested_by_administrator', reason: null } }],
      });
    });

    test.each(['revokeConnection', 'suspendConnection', 'resumeConnection', 'deleteConnection'] as const)(
      "%s: another platform's, another tenant's and nobody's connection are alike, and nothing is appended",
      async (key) => {
        const owner = await world.newPlatform();
        const sibling = await world.newPlatform(owner.tenantId);
        const stranger = await world.newPlatform();
        const connection = await connectionOf(owner);
        const before = await world.historyOf(connection);
        const notFound = { code: 'connection.not_found' };
        await expect(ask(operations[key], sibling, connection.request)).rejects.toMatchObject(notFound);
        await expect(ask(operations[key], stranger, connection.request)).rejects.toMatchObject(notFound);
        const nobodys = { connection_id: newId('connection') };
        await expect(ask(operations[key], owner, nobodys)).rejects.toMatchObject(notFound);
        expect(await world.historyOf(connection)).toEqual(before);
      },
    );

    test('a disabled platform is refused; an administrator still acts', async () => {
      const party = await world.newPlatform();
      const connection = await connectionOf(party);
      await world.configured(
        { type: 'PlatformDisabled', version: 1, data: { reason: null } },
        { ...party, id: party.platformId },
      );
      const refused = ask(operations.deleteConnection, party, connection.request);
      await expect(refused).rejects.toMatchObject({ code: 'platform.disabled' });
      const administrator = { ...party, platformId: administratorToken };
      await ask(operations.suspendConnection, administrator, connection.request);
      expect(await world.stateOf(connection)).toMatchObject({ suspended: true, authorization: 'authorized' });
    });

    test.each([
      ['a reason that is too long', { reason: 'x'.repeat(limits.reasonCharsMax + 1) }],
      ['a reason that is no text', { reason: 7 }],
      ['a member nobody asked for', { casscade: true }],
      ['an id with a wildcard', { connection_id: 'con_*' }],
    ])('%s is refused, and nothing is appended', async (_title, wrong) => {
      const party = await world.newPlatform();
      const connection = await connectionOf(party);
      const request = { ...connection.request, ...wrong } as never;
      await expect(ask(operations.revokeConnection, party, request)).rejects.toMatchObject({
        code: 'request.malformed',
      });
      expect(await world.typesOf(connection)).not.toContain('ConnectionRevoked');
    });

    test('suspended refuses, resumed serves again; each is said once however often it is asked', async () => {
      const party = await world.newPlatform();
      const connection = await connectionOf(party);
      const twice = async (operation: Operation) => {
        const replies = [
          await ask(operation, party, connection.request),
          await ask(operation, party, connection.request),
        ];
        expect(replies[1]).toEqual(replies[0]);
        return replies[0];
      };
      expect(await twice(operations.suspendConnection)).toMatchObject({ freshness: { health: 'suspended' } });
      expect(await twice(operations.resumeConnection)).toMatchObject({ freshness: { health: 'ok' } });
      expect((await world.typesOf(connection)).slice(-2)).toEqual(['ConnectionSuspended', 'ConnectionResumed']);
    });

    test('revoked and deleted are said once however often they are asked', async () => {
      const party = await world.newPlatform();
      const connection = await connectionOf(party);
      for (const operation of [operations.revokeConnection, operations.deleteConnection]) {
        const [first, second] = [
          await ask(operation, party, connection.request),
          await ask(operation, party, connection.request),
        ];
        expect(second).toMatchObject({ freshness: first.freshness, confirmed_by: ['vault-1'] });
      }
      const types = await world.typesOf(connection);
      expect(types.filter((type) => type === 'ConnectionRevoked' || type === 'DeletionRequested')).toEqual([
        'ConnectionRevoked',
        'DeletionRequested',
      ]);
      const refused = ask(operations.revokeConnection, party, connection.request);
      await expect(refused).rejects.toMatchObject({ code: 'connection.deleted' });
    });
  });

  describe('when it is answered', () => {
    const revoke = async () => {
      const party = await world.newPlatform();
      const connection = await connectionOf(party);
      return await ask(operations.revokeConnection, party, connection.request);
    };

    test.each(['revokeConnection', 'suspendConnection', 'deleteConnection'] as const)(
      '%s: not before the vault has confirmed; the event stands meanwhile',
      async (key) => {
        const vault = await vaultNamed('vault-1', 'when let');
        const party = await world.newPlatform();
        const connection = await connectionOf(party);
        const before = (await world.historyOf(connection)).length;
        const order: string[] = [];
        const answer = ask(operations[key], party, connection.request).finally(() => order.push('answered'));
        await waitFor(() => vault.seen.includes('asked to confirm'), { describe: 'the vault to be asked' });
        expect((await world.historyOf(connection)).length).toBeGreaterThan(before);
        order.push('let');
        vault.let();
        await answer;
        expect(order).toEqual(['let', 'answered']);
      },
    );

    test('every vault is named that has confirmed', async () => {
      await vaultNamed('vault-1');
      await vaultNamed('vault-2');
      const reply = await revoke();
      expect(reply.confirmed_by).toEqual(['vault-1', 'vault-2']);
      expect(reply.confirmation_ms).toBeLessThan(limits.feedStaleMsMax);
    });

    test('a resumption waits for nobody', async () => {
      const vault = await vaultNamed('vault-1');
      const party = await world.newPlatform();
      const connection = await connectionOf(party);
      await ask(operations.suspendConnection, party, connection.request);
      vault.confirming = 'never';
      const asked = vault.seen.length;
      await ask(operations.resumeConnection, party, connection.request);
      expect(vault.seen.length).toBe(asked);
    });

    test.each(['never', 'refuses'] as const)(
      'a vault that confirms %s is waited for until it has lost the right to serve, and not longer',
      async (confirming) => {
        await vaultNamed('vault-1');
        await vaultNamed('vault-2', confirming);
        const reply = await revoke();
        expect(reply.confirmed_by).toEqual(['vault-1']);
        expect(reply.confirmation_ms).toBeGreaterThanOrEqual(limits.feedStaleMsMax);
        expect(reply.confirmation_ms).toBeLessThan(limits.requestTimeoutMs);
      },
    );

    test('where no vault is to be seen, only time tells: one may be cut off from us alone', async () => {
      const reply = await revoke();
      expect(reply.confirmed_by).toEqual([]);
      expect(reply.confirmation_ms).toBeGreaterThanOrEqual(limits.feedStaleMsMax);
    });

    test('a vault that was there a moment ago is waited for, though another has confirmed', async () => {
      const gone = await vaultNamed('vault-2');
      await vaultNamed('vault-1');
      expect((await revoke()).confirmed_by).toEqual(['vault-1', 'vault-2']);
      await gone.stop();
      const reply = await revoke();
      expect(reply.confirmed_by).toEqual(['vault-1']);
      expect(reply.confirmation_ms).toBeGreaterThanOrEqual(limits.feedStaleMsMax);
    });
  });
});
