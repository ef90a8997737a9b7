import { Readable } from 'node:stream';

import { operations, subjects } from '@postern/contracts';
import { evolverOf, upcast } from '@postern/domain';
import { CommitReader, commitVerifier, verifyLog, type StoredMessage } from '@postern/event-log';
import { JetStreamEventLog } from '@postern/nats';
import { Metrics } from '@postern/service';

import {
  claimed,
  connected,
  deleted,
  exchangingSession,
  released,
  stored,
  type ConnectionRef,
} from '../spec-journeys.ts';
import { codeOf, tokenSetOf } from '../spec-world.ts';
import { forget, KeysSpec } from './spec-keys.ts';

const keys = new KeysSpec();
beforeAll(async () => keys.start('shredding'), 180_000);
beforeEach(async () => {
  keys.customer = await keys.world.customer();
});
afterAll(async () => keys.stop());

describe('a shredding', () => {
  const tables = ['data_key', 'credential', 'key_retirement'];

  async function shred(ref: ConnectionRef): Promise<void> {
    await deleted(keys.world, ref);
    await keys.world.call('revocation', operations.shredConnectionKey, {
      tenant_id: ref.tenantId,
      connection_id: ref.connectionId,
    });
  }

  /** A copy of the tenant's rows, as a backup of the tables holds it, and the way back to it. */
  async function backup(): Promise<() => Promise<void>> {
    const rows: [string, Record<string, unknown>[]][] = [];
    for (const table of tables) {
      rows.push([
        table,
        await keys.asAttacker(`select * from vault.${table} where tenant_id = ?`, [keys.customer.tenantId]),
      ]);
    }
    return async () => {
      for (const [table, kept] of rows) {
        await keys.asAttacker(`delete from vault.${table} where tenant_id = ?`, [keys.customer.tenantId]);
        for (const row of kept) {
          const entries = Object.entries(row).filter(([name]) => name !== 'wrapped_version');
          const marks = entries.map(() => '?').join(', ');
          const sql = `insert into vault.${table} (${entries.map(([name]) => name).join(', ')}) values (${marks})`;
          await keys.asAttacker(
            sql,
            entries.map(([, value]) => value),
          );
        }
      }
    };
  }

  /** What the log says of a connection, as it is stored, and whether it holds. */
  async function chainOf(ref: ConnectionRef) {
    const log = new JetStreamEventLog({ bus: keys.world.buses.audit, stream: 'connections' });
    const messages: StoredMessage[] = [];
    for await (const message of log.read({ filter: subjects.connection(ref) })) messages.push(message);
    const reader = new CommitReader({ verifier: commitVerifier(keys.world.trust) });
    const report = await verifyLog(Readable.from(messages), { reader, upcast, evolverOf });
    const text = messages
      .map(({ headers, payload }) => JSON.stringify(headers) + Buffer.from(payload).toString('utf8'))
      .join('\n');
    return { messages, report, text };
  }

  /** What whoever has a copy of the tables and the key service gets out of it. */
  async function openedFresh(ref: ConnectionRef): Promise<string> {
    const fresh = await keys.world.startVault();
    try {
      return await codeOf(keys.tokenOf(ref, { by: fresh }));
    } finally {
      await fresh.stop();
    }
  }

  test('is complete, whatever copy of the tables comes back, once the version is gone that wrapped the key', async () => {
    const ref = await connected(keys.world, keys.customer);
    const restore = await backup();
    await shred(ref);
    expect(await openedFresh(ref)).toBe('vault.credential_missing');
    expect((await keys.status()).shreddings).toMatchObject({
      complete: 0,
      pending: 1,
      complete_since: null,
      pending_until_before: 2,
      page: [{ owner_id: ref.connectionId, key_version: 1, complete_since: null }],
    });

    const shredded = await backup();
    await restore();
    expect(await openedFresh(ref)).toBe('nothing was refused');
    await shredded();

    await keys.world.keyring.rotate(keys.tenant);
    await keys.rewrapped(2);
    await keys.world.keyring.retireBefore({ ...keys.tenant, version: 2 });
    const { gone_since } = await keys.retired(2);
    expect((await keys.status()).shreddings).toMatchObject({
      complete: 1,
      pending: 0,
      complete_since: gone_since,
      pending_until_before: null,
      page: [{ owner_id: ref.connectionId, key_version: 1, complete_since: gone_since }],
    });

    await restore();
    expect(await openedFresh(ref)).toBe('vault.ciphertext_invalid');
  });

  test('leaves a chain that still verifies, and of the person nothing that can be read', async () => {
    const person = 'ada.lovelace@person.example';
    const refreshToken = `refresh.${Buffer.from(person).toString('base64url')}`;
    const ref = await connected(keys.world, keys.customer, tokenSetOf(person, { refreshToken }));
    expect(await keys.tokenOf(ref)).toContain(person);
    const before = await chainOf(ref);
    await shred(ref);
    expect(await openedFresh(ref)).toBe('vault.credential_missing');

    const after = await chainOf(ref);
    expect(after.messages.slice(0, before.messages.length)).toEqual(before.messages);
    expect(after.report).toMatchObject({ findings: [], commits: after.messages.length, aggregates: 1 });
    expect(after.text).toContain('ConnectionKeyShredded');
    const rows = await Promise.all(
      tables.map((table) => keys.asAttacker(`select * from vault.${table} where tenant_id = ?`, [ref.tenantId])),
    );
    const readable = after.text + JSON.stringify(rows);
    for (const word of [person, refreshToken, 'lovelace', 'person.example']) expect(readable).not.toContain(word);
  });

  test('under a version that is not gone yet waits for it, however many have gone before', async () => {
    const [early, late] = (await keys.connections(2)) as [ConnectionRef, ConnectionRef];
    await shred(early);
    await keys.world.keyring.rotate(keys.tenant);
    await keys.rewrapped(2);
    await shred(late);
    await keys.world.keyring.retireBefore({ ...keys.tenant, version: 2 });
    await keys.retired(2);
    const { shreddings } = await keys.status();
    expect(shreddings).toMatchObject({ complete: 1, pending: 1, pending_until_before: 3 });
    const since = new Map(shreddings.page.map((one) => [one.owner_id, one.complete_since !== null]));
    expect([since.get(early.connectionId), since.get(late.connectionId)]).toEqual([true, false]);
  });

  test('of a connection that never had a key is complete at once', async () => {
    const session = await exchangingSession(keys.world, keys.customer);
    await shred(session);
    expect((await keys.status()).shreddings).toMatchObject({ complete: 1, pending: 0 });
  });

  test('that an older copy of the tables undid is done again when data keys are rotated: the log remembers', async () => {
    const ref = await connected(keys.world, keys.customer);
    const restore = await backup();
    await shred(ref);
    await restore();
    const version = await keys.world.keyring.rotate(keys.tenant);
    await keys.rewrapped(version, { data_keys: true });
    expect(await keys.dataKeyOf(ref.connectionId)).toMatchObject({ wrapped_key: null });
    expect(await keys.asAttacker('select 1 from vault.credential where connection_id = ?', [ref.connectionId])).toEqual(
      [],
    );
  });
});

describe('what does not open', () => {
  test('is refused with its code, counted, and recorded for the audit, whoever asked', async () => {
    const [mine, theirs] = (await keys.connections(2)) as [ConnectionRef, ConnectionRef];
    await keys.asAttacker(
      `update vault.credential set refresh_ciphertext =
        (select refresh_ciphertext from vault.credential where connection_id = ?) where connection_id = ?`,
      [theirs.connectionId, mine.connectionId],
    );
    const claimId = await claimed(keys.world, mine);
    expect(await codeOf(released(keys.world, mine, claimId))).toBe('vault.ciphertext_invalid');
    expect(await keys.recordsOf(mine.connectionId)).toMatchObject([
      { outcome: 'refused', code: 'vault.ciphertext_invalid', purpose: 'open refresh_token', agentId: 'vault' },
    ]);
    const counted = [keys.vault, keys.other].map((one) =>
      one.get(Metrics).counter('postern.vault.ciphertexts.unopened').value({ kind: 'refresh_token' }),
    );
    expect(counted.reduce((sum, value) => sum + value, 0)).toBe(1);
    expect(await codeOf(stored(keys.world, mine, { claimId, set: tokenSetOf('x', { refreshToken: null }) }))).toBe(
      'vault.ciphertext_invalid',
    );
  });

  test('a client secret of another version or tenant does not open either, and is recorded', async () => {
    await keys.storeSecret('one');
    await keys.storeSecret('two');
    await keys.asAttacker(
      `update vault.owned_secret set ciphertext =
        (select ciphertext from vault.owned_secret where owner_id = ? and version = 1)
        where owner_id = ? and version = 2`,
      [keys.customer.registrationId, keys.customer.registrationId],
    );
    expect(await codeOf(keys.releaseSecret())).toBe('vault.ciphertext_invalid');
    expect(await keys.recordsOf(keys.customer.registrationId)).toMatchObject([
      { outcome: 'refused', code: 'vault.ciphertext_invalid', purpose: 'open client_secret' },
    ]);
  });

  test('a ciphertext that names another data key than its owner has is no endless search', async () => {
    const ref = await connected(keys.world, keys.customer);
    for (const generation of [7, 0]) {
      await keys.asAttacker('update vault.credential set key_generation = ? where connection_id = ?', [
        generation,
        ref.connectionId,
      ]);
      forget(keys.vault, ref);
      expect(await codeOf(keys.tokenOf(ref))).toBe('vault.ciphertext_invalid');
    }
  });
});
