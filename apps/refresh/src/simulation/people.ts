import { isPosternError, limits, newId, type Actor, type ConnectionEvent } from '@postern/contracts';
import {
  completeAuthorization,
  connectionEvolver,
  recordUpstreamRevoked,
  resumeConnection,
  revokeConnection,
  startAuthorization,
  startCodeExchange,
  suspendConnection,
  upcast,
  upstreamRevocationOf,
  type Connection,
} from '@postern/domain';
import { Repository, type AggregateRef } from '@postern/event-log';

import { nominalSigner, type MemoReader } from './identities.ts';
import type { Invariants } from './invariants.ts';
import { ProcessLog, type ServerLog } from './log.ts';
import type { SimProcess } from './process.ts';
import type { ProviderNetwork } from './provider-network.ts';
import type { ProviderServer } from './provider-server.ts';
import type { RefreshProcess } from './refresh-process.ts';
import type { Subject } from './subjects.ts';
import type { Vault } from './vault.ts';
import { recordedAs, type VaultTables } from './vault-tables.ts';
import type { World } from './world.ts';

export interface PeopleOptions {
  readonly world: World;
  readonly server: ServerLog;
  readonly reader: MemoReader;
  readonly invariants: Invariants;
  readonly provider: ProviderServer;
  readonly network: ProviderNetwork;
  readonly tables: VaultTables;
  readonly vaults: () => readonly Vault[];
  readonly workers: () => readonly RefreshProcess[];
  /** A process of one of the other services; it lives for one deed. */
  readonly spawn: (app: string) => SimProcess;
}

const endUserDigest = 'digest';
/** Agents do not stop at once when a connection is taken from them. */
const leasesAfterRevocation = 5;
const reauthorizeUrl = 'https://postern.example/connect';

/** What end users, platforms, administrators and the other services do to connections. */
export class People {
  readonly #options: PeopleOptions;

  constructor(options: PeopleOptions) {
    this.#options = options;
  }

  /** An end user authorizes, for the first time or again: code, promotion, completion, as `authorization` does it. */
  async authorize(subject: Subject): Promise<void> {
    const { world, provider } = this.#options;
    await this.#as('authorization', async (process, execute) => {
      const sessionId = newId('session');
      const isFirst = this.#options.invariants.truthOf(subject.id).revision === 0;
      await execute(subject, (state, nowMs) =>
        startAuthorization(
          {
            sessionId,
            purpose: isFirst ? 'connect' : 'reauthorize',
            platformId: subject.platformId,
            providerId: subject.providerId,
            registrationId: subject.registrationId,
            endUserDigest,
            requestedScopes: ['contacts:read'],
            returnUrl: 'https://platform.example/return',
            expiresAtMs: nowMs + limits.sessionTtlMs,
            nowMs,
          },
          state,
        ),
      );
      await process.cross('the end user', world.random.between(1_000, 60_000));
      await execute(subject, (state, nowMs) => startCodeExchange({ sessionId, nowMs }, state));
      const tokenSet = await process.reach('code', () => provider.authorize(subject.id, subject.rules));
      const vault = await this.#vault(process);
      if (vault === undefined) return;
      const row = await vault.promote(subject, sessionId, tokenSet);
      await process.cross('← promotion');
      const { endsOldAccess, leadS } = subject.rules;
      await execute(subject, (state, nowMs) =>
        completeAuthorization(
          {
            ...recordedAs(row),
            sessionId,
            endUserDigest,
            accountDigest: null,
            ...(endsOldAccess && { endedByRefresh: { leadMs: leadS * 1_000, graceMs: 0 } }),
            nowMs,
          },
          state,
        ),
      );
    });
  }

  /** Revokes, waits until every vault knows or may not serve, answers, and tells the provider. */
  async revoke(subject: Subject): Promise<void> {
    const { world, vaults, invariants, tables, network } = this.#options;
    await this.#as('revocation', async (process, execute) => {
      const { position, appended } = await execute(subject, (state) =>
        revokeConnection({ cause: 'requested_by_platform', reason: null }, state),
      );
      if (!appended) return;
      while (vaults().some((vault) => vault.isFresh && !vault.confirms(position))) await process.clock.sleep(50);
      invariants.revocationAnswered(subject.id, position);
      world.trace(subject.id, 'the revocation is answered');
      for (let lease = 1; lease <= leasesAfterRevocation; lease += 1) {
        world.timeline.after(world.random.between(0, 5_000), () => void this.lease(subject));
      }
      await process.cross('upstream revocation', world.random.between(100, 60_000));
      const { state } = invariants.truthOf(subject.id);
      const owed = upstreamRevocationOf(state, { nowMs: process.clock.nowMs() });
      if (owed.kind !== 'due') return;
      const row = tables.find(subject.id, owed.credentialVersion);
      const token = row?.tokenSet.refreshToken ?? row?.tokenSet.accessToken;
      if (token !== undefined) await network.revoke(process, subject.id, token);
      const { credentialVersion } = owed;
      await execute(subject, (now) => recordUpstreamRevoked({ credentialVersion, method: 'rfc7009' }, now));
    });
  }

  async suspendForAWhile(subject: Subject): Promise<void> {
    const { world } = this.#options;
    await this.#as('revocation', async (process, execute) => {
      await execute(subject, (state) => suspendConnection({ reason: null }, state));
      await process.cross('suspension', world.random.between(60_000, 3 * 3_600_000));
    });
    await this.resume(subject);
  }

  async resume(subject: Subject): Promise<void> {
    await this.#as('revocation', async (_process, execute) => {
      await execute(subject, (state) => resumeConnection({ reason: null }, state));
    });
  }

  /** The end user takes the authorization away at the provider; nobody tells us. */
  withdraw(subject: Subject): void {
    const { provider, tables, world, invariants } = this.#options;
    const version = invariants.truthOf(subject.id).state.credential?.version ?? 0;
    const token = tables.find(subject.id, version)?.tokenSet.refreshToken ?? null;
    const grant = token === null ? undefined : provider.grantOf(token);
    if (grant === undefined) return;
    provider.end(grant, 'user');
    world.trace(subject.id, 'the end user withdraws at the provider');
  }

  /** A platform wants the access token; an ended one is refreshed while it waits. */
  async lease(subject: Subject): Promise<void> {
    await this.#as('gateway', async (process) => {
      const vault = await this.#vault(process);
      const first = await vault?.lease(subject, subject);
      if (vault === undefined || first?.kind !== 'refresh') return;
      await this.#refreshed(process, subject, { reason: 'expired', credentialVersion: first.credentialVersion });
      await vault.lease(subject, subject);
    });
  }

  /** Somebody wants the connection refreshed now. */
  async refreshNow(subject: Subject): Promise<void> {
    await this.#as('gateway', async (process) => {
      const { credential } = this.#options.invariants.truthOf(subject.id).state;
      const credentialVersion = credential?.version ?? 1;
      await this.#refreshed(process, subject, { reason: 'requested', credentialVersion });
    });
  }

  async #refreshed(
    process: SimProcess,
    { tenantId, id }: Subject,
    question: { readonly reason: 'expired' | 'requested'; readonly credentialVersion: number },
  ): Promise<void> {
    const { world, workers } = this.#options;
    await process.cross('refresh →');
    const alive = workers().filter((worker) => worker.process.alive);
    if (alive.length === 0) return;
    const timeoutMs = limits.leaseRefreshWaitMs;
    const asked = world.random
      .pick(alive)
      .flights.answer({ ...question, connection: { tenantId, id }, reauthorizeUrl }, { timeoutMs });
    await Promise.race([asked, process.clock.sleep(timeoutMs)]);
  }

  async #vault(process: SimProcess): Promise<Vault | undefined> {
    await process.cross('vault →');
    const alive = this.#options.vaults().filter((vault) => vault.process.alive);
    return alive.length === 0 ? undefined : this.#options.world.random.pick(alive);
  }

  /** One deed of one service: a refusal ends it, a bug is told. */
  async #as(
    app: 'authorization' | 'revocation' | 'gateway',
    run: (process: SimProcess, execute: Execute) => Promise<void>,
  ): Promise<void> {
    const { world, server, reader, spawn } = this.#options;
    const process = spawn(app);
    const connections = new Repository<Connection, ConnectionEvent>({
      log: new ProcessLog(server, process),
      reader,
      evolver: connectionEvolver,
      upcast,
      signer: app === 'gateway' ? null : nominalSigner(app),
      source: `/postern/${app}`,
      nowMs: () => process.clock.nowMs(),
      pause: (_policy, attempt) => process.clock.sleep(attempt * 10),
    });
    const actor: Actor = { type: 'service', id: app };
    const execute: Execute = async (ref, decide) =>
      await connections.execute(ref, (state, { nowMs }) => decide(state, nowMs), {
        actor,
        correlationId: newId('correlation'),
        fromLeader: true,
      });
    try {
      await run(process, execute);
    } catch (error) {
      if (!isPosternError(error)) world.violate('a bug is a crash', '', `${app}: ${String(error)}`);
    }
  }
}

type Execute = (
  ref: AggregateRef,
  decide: (state: Connection, nowMs: number) => ConnectionEvent[],
) => Promise<{ readonly position: number; readonly appended: boolean }>;
