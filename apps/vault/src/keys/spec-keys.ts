import { rmSync } from 'node:fs';

import { MikroORM } from '@mikro-orm/postgresql';
import { AccessGroup, operations, type AccessRecord, type KeysRewrapped } from '@postern/contracts';
import * as domain from '@postern/domain';
import { createOperator, JetStreamEventLog, serverOperatorConfig } from '@postern/nats';
import { startNatsServer, startPostgres, temporaryDataDir, type NatsServer, type Postgres } from '@postern/servers';
import type { RunningService } from '@postern/service';

import { ownerOf } from '../connections.ts';
import { Credentials } from '../credentials.ts';
import { DataKeys } from '../data-keys.ts';
import { connected, type ConnectionRef } from '../spec-journeys.ts';
import { specNats, tokenSetOf, VaultWorld, type Customer } from '../spec-world.ts';

/** What the specs of keys stand on: two vaults on the same tables, and a new customer for each test. */
export class KeysSpec {
  readonly folder = temporaryDataDir('postern-keys-');
  world!: VaultWorld;
  vault!: RunningService;
  /** What the one rotates, the other has in its memory. */
  other!: RunningService;
  customer!: Customer;
  #nats: NatsServer | undefined;
  #postgres: Postgres | undefined;
  #owner: MikroORM | undefined;

  /** The superuser sees every row: what an attacker with the database has. */
  async asAttacker<T = Record<string, unknown>>(sql: string, params: readonly unknown[] = []): Promise<T[]> {
    return (await this.#owner?.em.getConnection().execute<T[]>(sql, [...params])) ?? [];
  }

  get tenant(): { readonly tenantId: string } {
    return { tenantId: this.customer.tenantId };
  }

  async status(tenantId = this.customer.tenantId) {
    return await this.world.call('administrator', operations.keysStatus, { tenant_id: tenantId });
  }

  async retired(version: number) {
    const request = { tenant_id: this.customer.tenantId, before_version: version };
    return await this.world.call('administrator', operations.keysRetired, request);
  }

  async step(version: number, more: { after?: string; limit?: number; data_keys?: boolean } = {}) {
    const request = { tenant_id: this.customer.tenantId, version, ...more };
    return await this.world.call('administrator', operations.keysRewrap, request);
  }

  /** Every step of a run, as the command takes them. */
  async rewrapped(version: number, more: { limit?: number; data_keys?: boolean } = {}): Promise<KeysRewrapped[]> {
    const steps: KeysRewrapped[] = [];
    let after: string | null = '';
    while (after !== null) {
      const taken: KeysRewrapped = await this.step(version, { ...more, ...(after !== '' && { after }) });
      steps.push(taken);
      after = taken.next;
    }
    return steps;
  }

  async ownerOf({ tenantId, connectionId }: ConnectionRef) {
    const connections = this.world.connections('refresh');
    return ownerOf((await connections.load({ tenantId, id: connectionId }, { fromLeader: true })).state);
  }

  async tokenOf(ref: ConnectionRef, { by = this.vault, version = 1 } = {}): Promise<string> {
    return (await by.get(Credentials).openAccess(await this.ownerOf(ref), version)).accessToken;
  }

  async connections(count: number): Promise<ConnectionRef[]> {
    const refs: ConnectionRef[] = [];
    for (let n = 0; n < count; n += 1) refs.push(await connected(this.world, this.customer, tokenSetOf(String(n))));
    return refs;
  }

  async dataKeyOf(ownerId: string) {
    const sql = 'select wrapped_key, generation, made_version from vault.data_key where owner_id = ?';
    const rows = await this.asAttacker<{ wrapped_key: string | null; generation: number; made_version: number }>(sql, [
      ownerId,
    ]);
    return rows[0];
  }

  /** What audit reads of one owner. */
  async recordsOf(ownerId: string): Promise<AccessRecord[]> {
    const log = new JetStreamEventLog({ bus: this.world.buses.audit, stream: 'access' });
    const found: AccessRecord[] = [];
    for await (const { payload } of log.read({ filter: 'access.>' })) {
      found.push(...AccessGroup.parse(JSON.parse(Buffer.from(payload).toString('utf8'))).records);
    }
    return found.filter(({ connectionId }) => connectionId === ownerId);
  }

  /** Stores a client secret and puts it into use. */
  async storeSecret(secret: string): Promise<void> {
    const { tenantId, registrationId } = this.customer;
    const { secret_version: secretVersion } = await this.world.call('administrator', operations.storeClientSecret, {
      tenant_id: tenantId,
      registration_id: registrationId,
      sealed_secret: this.world.sealTo('vault', secret),
    });
    await this.world.admin(tenantId, domain.registrationEvolver, registrationId, (state) =>
      domain.storeRegistrationSecret(
        { kind: 'client_secret', secretVersion, overlapMs: 0, publicJwk: null, nowMs: Date.now() },
        state,
      ),
    );
  }

  async releaseSecret(): Promise<string> {
    const { tenantId: tenant_id, registrationId: registration_id } = this.customer;
    const request = { tenant_id, registration_id };
    const { sealed_secret } = await this.world.call('refresh', operations.releaseClientSecret, request);
    return this.world.openAs('refresh', sealed_secret);
  }

  async start(name: string): Promise<void> {
    const bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle), ...specNats };
    [this.#nats, this.#postgres] = await Promise.all([
      startNatsServer({ dataDir: `${this.folder}/nats`, config }),
      startPostgres({ dataDir: `${this.folder}/postgres` }),
    ]);
    await this.#postgres.createDatabase(name);
    const ownerUrl = this.#postgres.urlOf(name);
    this.world = await VaultWorld.open({
      natsUrl: this.#nats.url,
      bundle,
      ownerUrl,
      serviceRole: `vault_${name}`,
      folder: `${this.folder}/world`,
    });
    this.#owner = new MikroORM({ clientUrl: ownerUrl, entities: [], discovery: { warnWhenNoEntities: false } });
    [this.vault, this.other] = [await this.world.startVault(), await this.world.startVault()];
  }

  async stop(): Promise<void> {
    await this.#owner?.close(true);
    await this.world?.close();
    await Promise.all([this.#nats?.stop(), this.#postgres?.stop()]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Lets a vault's memory go, as time does. */
export function forget(by: RunningService, { tenantId, connectionId }: ConnectionRef): void {
  by.get(DataKeys).forget({ tenantId, ownerId: connectionId });
  by.get(Credentials).forget({ tenantId, connectionId });
}

export const failuresOf = (steps: readonly KeysRewrapped[]) => steps.flatMap(({ failed }) => failed);
