import { consumers } from '@postern/contracts';

import { namesAChange } from '../schedule/schedule-commits.ts';
import { scheduleLimits } from '../schedule/schedule-limits.ts';
import { SimConsumer } from './consumer.ts';
import { checkEnd } from './check-end.ts';
import { MemoReader } from './identities.ts';
import { Intervals } from './intervals.ts';
import { Invariants } from './invariants.ts';
import { ServerLog } from './log.ts';
import { People } from './people.ts';
import { SimProcess } from './process.ts';
import { profileOf, type Profile } from './profile.ts';
import { ProviderNetwork } from './provider-network.ts';
import { ProviderServer } from './provider-server.ts';
import { catalogOf } from './providers.ts';
import { Random } from './random.ts';
import { RefreshProcess } from './refresh-process.ts';
import { RefreshStream } from './refresh-stream.ts';
import type { Sabotage } from './sabotage.ts';
import { subjectsOf, type Subject } from './subjects.ts';
import { Vault } from './vault.ts';
import { VaultTables } from './vault-tables.ts';
import { withoutRealTime } from './without-real-time.ts';
import { noFaults, World, type Violation } from './world.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** What the seed draws, unless given. */
  readonly profile?: Profile | undefined;
  readonly sabotage?: Sabotage | undefined;
  /** No vault is asked to claim: what a claim and its release are where anything is in the way of both at once. */
  readonly inTwoSteps?: boolean | undefined;
  readonly keepTrace?: boolean | undefined;
}

/** What one run came to. */
export interface SimulationReport {
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** Of everything that happened: the same seed gives the same. */
  readonly traceHash: string;
  readonly lines: World['lines'];
  readonly connections: number;
  readonly simulatedMs: number;
  readonly refreshes: number;
  readonly leases: number;
  readonly deaths: number;
  readonly states: Readonly<Record<string, number>>;
}

const startMs = Date.parse('2025-03-01T00:00:00Z');
const minuteMs = 60_000;

/** Runs one seed from its beginning to its end, on virtual time alone. */
export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  const simulation = new Simulation(options);
  return await withoutRealTime(
    () => simulation.nowMs,
    () => simulation.run(),
  );
}

class Simulation {
  readonly #seed: number;
  readonly #sabotage: Sabotage | undefined;
  readonly #inTwoSteps: boolean;
  readonly #profile: Profile;
  readonly #world: World;
  readonly #random: Random;
  readonly #reader = new MemoReader();
  readonly #server: ServerLog;
  readonly #provider: ProviderServer;
  readonly #invariants: Invariants;
  readonly #tables = new VaultTables();
  readonly #stream: RefreshStream;
  readonly #network: ProviderNetwork;
  readonly #people: People;
  readonly #subjects: readonly Subject[];
  readonly #workers: RefreshProcess[] = [];
  readonly #vaults: Vault[] = [];
  readonly #outages = new Intervals();
  #isSettling = false;
  #deaths = 0;

  constructor({ seed, profile, sabotage, inTwoSteps = false, keepTrace = false }: SimulationOptions) {
    this.#seed = seed;
    this.#sabotage = sabotage;
    this.#inTwoSteps = inTwoSteps;
    this.#random = new Random(seed);
    this.#profile = profile ?? profileOf(this.#random);
    const world = new World({ startMs, random: this.#random, faults: this.#profile.faults, keepTrace });
    this.#world = world;
    this.#server = new ServerLog(world);
    this.#provider = new ProviderServer(() => world.nowMs);
    this.#invariants = new Invariants({ world, reader: this.#reader, provider: this.#provider });
    this.#server.onStored((message) => {
      this.#invariants.stored(message);
      return true;
    });
    this.#subjects = subjectsOf(this.#profile);
    const subjects = new Map(this.#subjects.map((subject) => [subject.id, subject]));
    this.#network = new ProviderNetwork({
      world,
      server: this.#provider,
      invariants: this.#invariants,
      providerTimeoutMs: this.#profile.times.providerTimeoutMs,
      rulesOf: (id) => (subjects.get(id) as Subject).rules,
      providerOf: (id) => (subjects.get(id) as Subject).providerId,
      outages: this.#outages,
    });
    this.#stream = new RefreshStream(world, () =>
      this.#workers.map(({ process, due }) => ({
        process,
        handle: (message) => due.due(message.json(), message),
      })),
    );
    this.#people = new People({
      world,
      server: this.#server,
      reader: this.#reader,
      invariants: this.#invariants,
      provider: this.#provider,
      network: this.#network,
      tables: this.#tables,
      vaults: () => this.#vaults,
      workers: () => this.#workers,
      spawn: (app) => new SimProcess(world, { name: app, skewMs: this.#skewMs(), onDeath: () => undefined }),
    });
  }

  get nowMs(): number {
    return this.#world.nowMs;
  }

  async run(): Promise<SimulationReport> {
    const { durationMs, settleMs, workers, vaults, wrongClockMs } = this.#profile;
    const { timeline } = this.#world;
    this.#follow();
    for (let index = 0; index < vaults; index += 1) this.#startVault(index, this.#skewMs());
    for (let index = 0; index < workers; index += 1) {
      this.#startWorker(index, index === 0 ? this.#skewMs() + wrongClockMs : this.#skewMs());
    }
    for (const subject of this.#subjects) this.#begin(subject);
    for (const providerId of Object.keys(this.#profile.providers)) this.#breakDown(providerId);
    if (this.#profile.wipes) this.#byAndBy(durationMs / 2, () => this.#stream.wipe());
    await timeline.run(startMs + durationMs, () => this.#isOver());
    this.#settle();
    await timeline.run(startMs + durationMs + settleMs, () => this.#isOver());
    if (!this.#isOver()) {
      checkEnd({
        world: this.#world,
        subjects: this.#subjects,
        invariants: this.#invariants,
        provider: this.#provider,
        tables: this.#tables,
        stream: this.#stream,
        outages: this.#outages,
        reconcileIntervalMs: this.#profile.times.reconcileIntervalMs,
        wrongMsMax: Math.abs(this.#profile.wrongClockMs),
        catalog: catalogOf(this.#profile.providers),
      });
    }
    return this.#report();
  }

  /** The first thing that must not be is enough: what follows from it explains nothing. */
  #isOver(): boolean {
    return this.#world.violations.length > 0;
  }

  #report(): SimulationReport {
    const states: Record<string, number> = {};
    for (const { id } of this.#subjects) {
      const { authorization, health } = this.#invariants.truthOf(id).state;
      const name = authorization === 'authorized' ? `${authorization}, ${health.status}` : authorization;
      states[name] = (states[name] ?? 0) + 1;
    }
    return {
      seed: this.#seed,
      violations: this.#world.violations,
      traceHash: this.#world.traceHash(),
      lines: this.#world.lines,
      connections: this.#subjects.length,
      simulatedMs: this.#world.nowMs - startMs,
      refreshes: this.#invariants.refreshes,
      leases: this.#invariants.leases,
      deaths: this.#deaths,
      states,
    };
  }

  /** The durable consumer of the log that turns commits into schedules. */
  #follow(): void {
    const consumer = new SimConsumer({
      world: this.#world,
      name: 'refresh-scheduler',
      ackWaitMs: consumers.refreshScheduler.ackWaitMs,
      concurrencyMax: scheduleLimits.workConcurrencyMax,
      workers: () =>
        this.#workers.map(({ process, scheduler }) => ({
          process,
          handle: async (message) => {
            if (namesAChange(message.payload)) await scheduler.commit(message.json(), message);
          },
        })),
      stands: () => true,
      onDone: () => undefined,
    });
    this.#server.onStored((message) => {
      consumer.add(message);
      return true;
    });
  }

  #startWorker(index: number, skewMs: number): void {
    const { times, providers } = this.#profile;
    const worker = new RefreshProcess({
      process: this.#process(`refresh-${index + 1}`, skewMs, () => this.#startWorker(index, skewMs)),
      server: this.#server,
      reader: this.#reader,
      catalog: catalogOf(providers),
      stream: this.#stream,
      providers: this.#network,
      vaults: () => this.#vaults,
      times,
      sabotage: this.#sabotage,
      inTwoSteps: this.#inTwoSteps,
    });
    this.#workers[index] = worker;
    worker.start();
  }

  #startVault(index: number, skewMs: number): void {
    this.#vaults[index] = new Vault({
      process: this.#process(`vault-${index + 1}`, skewMs, () => this.#startVault(index, skewMs)),
      server: this.#server,
      reader: this.#reader,
      tables: this.#tables,
      invariants: this.#invariants,
      sabotage: this.#sabotage,
    });
  }

  /** A process that is started again some time after it has died. */
  #process(name: string, skewMs: number, again: () => void): SimProcess {
    const { timeline, random } = this.#world;
    return new SimProcess(this.#world, {
      name,
      skewMs,
      onDeath: () => {
        this.#deaths += 1;
        timeline.after(this.#isSettling ? 100 : random.pauseMs(20_000), again);
      },
    });
  }

  #skewMs(): number {
    const { skewMsMax } = this.#profile;
    return this.#random.between(-skewMsMax, skewMsMax);
  }

  /** Everything that happens to one connection, over and over, until the run settles. */
  #begin(subject: Subject): void {
    const { everyMs } = this.#profile;
    const people = this.#people;
    const { timeline, random } = this.#world;
    timeline.after(random.between(0, 10 * minuteMs), () => void people.authorize(subject));
    this.#byAndBy(everyMs.lease, () => void people.lease(subject));
    this.#byAndBy(everyMs.refreshNow, () => void people.refreshNow(subject));
    this.#byAndBy(everyMs.suspend, () => void people.suspendForAWhile(subject));
    this.#byAndBy(everyMs.withdraw, () => people.withdraw(subject));
    this.#byAndBy(everyMs.revoke, () => void people.revoke(subject));
    this.#byAndBy(everyMs.authorize, () => {
      const { authorization } = this.#invariants.truthOf(subject.id).state;
      if (authorization !== 'authorized' || random.happens(0.1)) void people.authorize(subject);
    });
  }

  #byAndBy(meanMs: number, run: () => void): void {
    this.#world.timeline.after(this.#random.pauseMs(meanMs), () => {
      if (this.#isSettling) return;
      run();
      this.#byAndBy(meanMs, run);
    });
  }

  #breakDown(providerId: string): void {
    const { outageEveryMs, outageMsMax } = this.#profile;
    this.#byAndBy(outageEveryMs, () => {
      this.#network.begin(providerId);
      const { timeline, random } = this.#world;
      timeline.after(random.between(minuteMs, outageMsMax), () => this.#network.end(providerId));
    });
  }

  /** From here on nothing goes wrong any more, nobody does anything, and what was begun comes to its end. */
  #settle(): void {
    this.#isSettling = true;
    this.#world.faults = noFaults;
    this.#world.trace('', 'the run settles');
    for (const providerId of Object.keys(this.#profile.providers)) this.#network.end(providerId);
    for (const subject of this.#subjects) {
      if (this.#invariants.truthOf(subject.id).state.suspended) void this.#people.resume(subject);
    }
  }
}
