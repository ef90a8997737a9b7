import { limits, PosternError, type Operation } from '@postern/contracts';
import type { EventLog } from '@postern/event-log';
import type { VersionedCatalog } from '@postern/provider-catalog';
import { Metrics } from '@postern/service';

import { ClaimWithToken } from '../claim/claim-with-token.ts';
import { ClaimWatch, type StandingClaim } from '../claim/claim-watch.ts';
import { TakeClaim } from '../claim/take-claim.ts';
import { TakeOver } from '../claim/take-over.ts';
import { Connections } from '../connections.ts';
import { ScheduledDue } from '../due/scheduled-due.ts';
import { WorkDue } from '../due/work-due.ts';
import { Pace } from '../pace/pace.ts';
import { Reconciler } from '../reconcile/reconciler.ts';
import { Survey } from '../reconcile/survey.ts';
import { refreshLimits } from '../refresh-limits.ts';
import { RefreshFlights } from '../request/refresh-flights.ts';
import { KeepSchedule } from '../schedule/keep-schedule.ts';
import { Plans } from '../schedule/plans.ts';
import { ScheduleCommits } from '../schedule/schedule-commits.ts';
import { KeepBought } from '../spend/keep-bought.ts';
import { OutcomeLog } from '../spend/outcome-log.ts';
import { ReleasedTokens } from '../spend/released-tokens.ts';
import { SpendClaim } from '../spend/spend-claim.ts';
import { SimFeed } from './feed.ts';
import { nominalSigner, type MemoReader } from './identities.ts';
import { ProcessLog, type ServerLog } from './log.ts';
import type { SimProcess } from './process.ts';
import type { ProviderNetwork } from './provider-network.ts';
import { noRollouts } from './providers.ts';
import type { RefreshStream } from './refresh-stream.ts';
import type { Sabotage } from './sabotage.ts';
import type { Vault } from './vault.ts';

/** What `refresh` is configured with. */
export interface RefreshTimes {
  readonly claimTimeoutMs: number;
  readonly providerTimeoutMs: number;
  readonly reconcileIntervalMs: number;
  readonly reconcileAgainMs: number;
  readonly providerCallsPerSecond: number;
}

export interface RefreshProcessOptions {
  readonly process: SimProcess;
  readonly server: ServerLog;
  readonly reader: MemoReader;
  readonly catalog: VersionedCatalog;
  readonly stream: RefreshStream;
  readonly providers: ProviderNetwork;
  readonly vaults: () => readonly Vault[];
  readonly times: RefreshTimes;
  readonly sabotage: Sabotage | undefined;
  readonly inTwoSteps: boolean;
}

/** Broken on purpose: the end of a claim as its writer's wall clock wrote it, by the wall clock of whoever looks. */
class WallClockWatch extends ClaimWatch {
  readonly #process: SimProcess;

  constructor(process: SimProcess, times: RefreshTimes) {
    super(process.clock, times as never);
    this.#process = process;
  }

  override remainingMs({ claim }: StandingClaim): number {
    return claim.expiresAtMs - this.#process.clock.nowMs();
  }
}

/** Broken on purpose: an append of this process goes after whatever stands. */
class CarelessLog extends ProcessLog {
  readonly #server: ServerLog;

  constructor(server: ServerLog, process: SimProcess) {
    super(server, process);
    this.#server = server;
  }

  override async append(request: Parameters<EventLog['append']>[0]) {
    const last = await this.#server.last(request.subject);
    return await super.append({ ...request, expectedPosition: last?.position ?? 0 });
  }
}

/**
 * One process of `refresh`: the classes that its module puts together, put together here. Doubles stand where the
 * process ends: the log, REFRESH, the vault, the providers, and the sealing of what travels.
 */
export class RefreshProcess {
  readonly process: SimProcess;
  readonly flights: RefreshFlights;
  readonly due: WorkDue;
  readonly scheduler: ScheduleCommits;
  readonly #reconciler: Reconciler;

  constructor(options: RefreshProcessOptions) {
    const { process, server, reader, catalog, stream, providers, times, sabotage, inTwoSteps } = options;
    const { clock, logger } = process;
    this.process = process;
    const metrics = new Metrics();
    const log =
      sabotage === 'claim-without-conflict-check' ? new CarelessLog(server, process) : new ProcessLog(server, process);
    const logs = { connections: log } as never;
    const config = times as never;
    const connections = new Connections(logs, reader, { signer: nominalSigner('refresh') } as never, clock);
    const watch =
      sabotage === 'claims-by-the-wall-clock' ? new WallClockWatch(process, times) : new ClaimWatch(clock, config);
    const feed = new SimFeed({
      log: server,
      reader,
      process,
      sinceMs: process.world.nowMs - refreshLimits.claimsSeenBackMs,
      onEntry: (entry) => {
        connections.observe(entry);
        watch.observe(entry);
      },
      onReset: () => connections.forgetAll(),
    });
    const operations = { call: callsOf(options) } as never;
    const opener = { open: (sealed: string) => ({ plaintext: Buffer.from(sealed) }) };
    const sealing = { seal: (_held: unknown, tokenSet: unknown) => JSON.stringify(tokenSet) } as never;
    const dueMessages = stream.dueMessagesOf(process) as never;
    const schedules = stream.schedulesOf(process) as never;
    const plans = new Plans(noRollouts, catalog);
    const pace = new Pace(config, clock, logger, metrics);
    const keeper = new KeepSchedule(connections, logs, plans, schedules, dueMessages, clock);
    const outcomes = new OutcomeLog(connections, plans, clock);
    const takeOver = new TakeOver(connections, operations, plans, logger);
    const clients = providers.clientsOf(process) as never;
    const tokens = new ReleasedTokens(operations, { opener } as never);
    const spending = new SpendClaim(
      config,
      clock,
      clients,
      tokens,
      new KeepBought(sealing, operations, outcomes, clock, logger),
      outcomes,
      takeOver,
      pace,
      logger,
      metrics,
    );
    this.due = new WorkDue(
      new TakeClaim(
        config,
        clock,
        connections,
        inTwoSteps ? notAsked : new ClaimWithToken(config, clock, connections, clients, tokens, logger),
        logger,
      ),
      watch,
      takeOver,
      spending,
      new ScheduledDue(connections, plans, clock, logger),
      keeper,
      connections,
      pace,
      clock,
      metrics,
    );
    this.scheduler = new ScheduleCommits(reader, connections, keeper);
    this.flights = new RefreshFlights(connections, feed as never, dueMessages, clock, logger, pace);
    const survey = new Survey(logs, reader, connections, plans, schedules, clock, logger);
    this.#reconciler = new Reconciler(config, survey, keeper, takeOver, quietBus, clock, {} as never, logger, metrics);
  }

  start(): void {
    this.#reconciler.onServiceReady();
  }
}

/** Connections are not simulated: nobody hears of a reconnect. */
const quietBus = { onStatus: () => () => undefined } as never;

/** Claims nothing together with its token. */
const notAsked = { take: async () => undefined } as never;

/** In the place of `OperationsClient`: some vault answers, or nobody does in time. */
function callsOf({ process, vaults }: RefreshProcessOptions) {
  const { world } = process;
  return async (operation: Operation, _caller: unknown, request: unknown): Promise<unknown> => {
    await process.cross(`${operation.name} →`);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const silent = new PosternError('bus.timeout', 'The vault did not answer in time.');
    const callOff = process.clock.after(limits.requestTimeoutMs, () => reject(silent));
    const travelMs = world.strikes('loss') ? world.random.between(1_000, 30_000) : world.random.between(1, 3);
    world.timeline.after(travelMs, () => {
      const alive = vaults().filter((vault) => vault.process.alive);
      if (alive.length === 0) return reject(new PosternError('bus.unavailable', 'No vault is there.'));
      if (world.strikes('loss')) return;
      void world.random
        .pick(alive)
        .answer(operation.name, request)
        .then(
          (answer) => (world.strikes('loss') ? undefined : resolve(answer)),
          (error: Error) => reject(error),
        );
    });
    try {
      return await promise;
    } finally {
      callOff();
      await process.cross(`← ${operation.name}`);
    }
  };
}
