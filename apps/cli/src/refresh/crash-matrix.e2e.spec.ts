import { limits } from '@postern/contracts';
import { crashPoints, vaultCrashPoints } from '@postern/service';
import { describeWithServer, type ManagedProcess } from '@postern/servers';
import { startTcpProxy, waitFor, type ReuseRule } from '@postern/testing';

import { ArmedProcesses } from '../spec-support/armed-processes.ts';
import type { CrashConnection } from '../spec-support/crash-connections.ts';
import { readCrashTable, reuseRules, type CrashRow } from '../spec-support/crash-table.ts';
import { CrashWorld, type LoggedEvent } from '../spec-support/crash-world.ts';

const setupMsMax = 900_000;
const cellMsMax = 240_000;
const patienceMs = 200_000;
const hourMs = 3_600_000;
/** Long enough to be planned for, and over when nobody has been at work for a moment. */
const briefMs = 6_000;
/** So many more are hit, at the pace of this machine, before a claim can be taken over whose token is to live then. */
const hitsToCome = 12;

const workerDies = 'the worker dies ';
const vaultDies = 'the vault dies ';
const isHeld = 'the worker is held after the provider answered';
const rows = readCrashTable();

interface Cell {
  readonly row: CrashRow;
  readonly rule: ReuseRule;
  readonly connection: CrashConnection;
  /** Lets the worker that stands still go on; only where one does. */
  readonly letGo?: () => void;
}

const isRotation = ({ type }: LoggedEvent) => type === 'RefreshTokenRotated';
const typesOf = (events: readonly LoggedEvent[]) => events.filter((one) => !isRotation(one)).map(({ type }) => type);

await describeWithServer('nats-server', 'what dies, or is late, in a refresh', () => {
  const cells: Cell[] = [];
  const held: ManagedProcess[] = [];
  let world: CrashWorld;
  let workers: ManagedProcess[] = [];
  /** Nobody has watched the claims that stand for longer than since then. */
  let nextSinceMs = 0;
  let hitsMs = 0;

  beforeAll(async () => {
    world = await CrashWorld.open();
    await hitWorkers();
    nextSinceMs = Date.now();
    workers = await Promise.all([1, 2].map(() => world.start('refresh', { preloaded: false })));
    // Wakes them at once, so that nothing but their own patience keeps them from the claims that stand.
    for (const { row, connection } of cells) if (leavesAClaim(row)) await world.makeDue(connection);
    // Before a vault dies: whoever takes a claim over then would find none, say so in the log, and try again.
    for (const cell of cells) await takenOver(cell);
    await hitVaults();
  }, setupMsMax);

  afterAll(async () => {
    await world?.close();
  });

  /** One after another, and before anybody could take over: each death hits one connection and no other. */
  async function hitWorkers(): Promise<void> {
    const armed = new ArmedProcesses(() => world.start('refresh', { preloaded: true }));
    const hit = rows.filter(({ happens }) => !happens.startsWith(vaultDies));
    for (const row of hit.toSorted((a, b) => turnOf(a) - turnOf(b))) {
      if (row.happens === isHeld) await armed.end();
      for (const rule of reuseRules)
        cells.push(await (row.happens === isHeld ? hold(row, rule) : kill(row, rule, armed)));
    }
    await armed.end();
  }

  /** With two vaults, so that one goes on; the workers are as in production. */
  async function hitVaults(): Promise<void> {
    const armed = new ArmedProcesses(() => world.start('vault', { preloaded: true }));
    await armed.ready(2);
    await world.vault.stop();
    for (const row of rows.filter(({ happens }) => happens.startsWith(vaultDies))) {
      for (const rule of reuseRules) cells.push(await kill(row, rule, armed, 2));
    }
    world.vault = await world.start('vault', { preloaded: false });
    await armed.end();
  }

  async function kill(row: CrashRow, rule: ReuseRule, armed: ArmedProcesses, readyMin: 1 | 2 = 1): Promise<Cell> {
    const sinceMs = performance.now();
    // Lives when the claim is taken over, and ends while this spec waits for the retry.
    const endsSoonMs = limits.refreshAckWaitMs + Math.ceil(hitsToCome * (hitsMs / (cells.length || 1)));
    const livesMs = row.added[0] === 'RefreshInterrupted' ? endsSoonMs : hourMs;
    const connection = await world.connections.connect(rule, { livesMs });
    world.arm(connection, row.happens.replace(/^the (worker|vault) dies /, ''));
    await armed.ready(readyMin);
    await world.makeDue(connection);
    expect(await armed.death()).toBe('SIGKILL');
    expect(world.isFired(connection)).toBe(true);
    if (readyMin === 1) expect(typesOf(await world.events(connection))).toEqual(row.left);
    hitsMs += performance.now() - sinceMs;
    return { row, rule, connection };
  }

  /** It stands still with the provider's answer in its hands, and loses its connections as a paused machine does. */
  async function hold(row: CrashRow, rule: ReuseRule): Promise<Cell> {
    const proxy = await startTcpProxy({ targetPort: world.natsPort });
    world.atEnd(() => proxy.close());
    const worker = await world.start('refresh', { preloaded: true, natsUrl: `nats://127.0.0.1:${proxy.port}` });
    held.push(worker);
    const connection = await world.connections.connect(rule, { livesMs: hourMs });
    world.arm(connection, 'after the provider answered', 'SIGSTOP');
    await world.makeDue(connection);
    await waitFor(() => world.isFired(connection), { timeoutMs: patienceMs, describe: 'the worker to stand still' });
    proxy.cut();
    expect(typesOf(await world.events(connection))).toEqual(row.left);
    const letGo = () => {
      proxy.heal();
      process.kill(worker.pid, 'SIGCONT');
    };
    return { row, rule, connection, letGo };
  }

  async function takenOver(cell: Cell): Promise<void> {
    const { row, rule, letGo } = cell;
    const wanted = expectedEvents(row, row.expected[rule].outcome).length;
    const isOver = (types: string[]) =>
      letGo === undefined ? types.length >= wanted : types.includes('RefreshInterrupted');
    await eventsOnce(cell, isOver);
  }

  function cellOf(row: CrashRow, rule: ReuseRule): Cell {
    const cell = cells.find((one) => one.row === row && one.rule === rule);
    if (cell === undefined) throw new Error(`not tried: ${row.happens}, ${rule}`);
    return cell;
  }

  async function eventsOnce({ connection }: Cell, holds: (types: string[]) => boolean): Promise<LoggedEvent[]> {
    let seen: LoggedEvent[] = [];
    return await waitFor(
      async () => {
        seen = await world.events(connection);
        return holds(typesOf(seen)) && seen;
      },
      { timeoutMs: patienceMs, describe: () => `stands in the log: ${typesOf(seen).join(', ')}` },
    );
  }

  test('the page has a row for each crash point, and one for the worker who is only slow', () => {
    const points = [...crashPoints.map((point) => workerDies + point), isHeld];
    const all = [...points, ...vaultCrashPoints.map((point) => vaultDies + point)];
    expect(rows.map(({ happens }) => happens)).toEqual(all);
  });

  describe.each(rows.map((row) => [row.happens, row] as const))('%s', (_happens, row) => {
    test.each(reuseRules)(
      'and the rule of reuse is %s',
      async (rule) => {
        const cell = cellOf(row, rule);
        const { outcome, calls } = row.expected[rule];
        if (cell.letGo !== undefined) {
          await eventsOnce(cell, (types) => types.includes('RefreshInterrupted'));
          cell.letGo();
        }
        const wanted = expectedEvents(row, outcome);
        const all = await eventsOnce(cell, (types) => types.length >= wanted.length);
        expect(typesOf(all)).toEqual(wanted);
        expect(all.filter(isRotation)).toHaveLength(outcome === 'refreshed' && rule !== 'stable' ? 1 : 0);
        expect(await world.calls(cell.connection)).toHaveLength(calls);
        const events = all.filter((one) => !isRotation(one));
        eachClaimIsSpentOnce(events, calls);
        // Its worker may still be at work.
        if (leavesAClaim(row)) {
          expect(events[row.left.length]?.atMs).toBeGreaterThanOrEqual(nextSinceMs + limits.claimTimeoutMs);
        }
        theRetryWaitsForTheTokensEnd(events, cell.connection);
        const { authorization, claim, health, credential } = await world.state(cell.connection);
        expect(claim).toBeNull();
        if (outcome === 'lost') {
          expect(authorization).toBe('reauthorization_required');
          itIsSaidAtOnce(events);
        } else {
          expect([authorization, health.status, credential?.version]).toEqual(['authorized', 'ok', 2]);
        }
      },
      cellMsMax,
    );
  });

  test(
    'in the end nothing was spent twice, and what the vault holds is what the server calls current',
    async () => {
      const done = async () => (await world.workLeft()) === 0;
      await waitFor(done, { timeoutMs: patienceMs, describe: 'every due message to be worked off' });
      for (const { row, rule, connection } of cells) {
        const { outcome, calls } = row.expected[rule];
        const cell = `${row.happens}, ${rule}`;
        const before = await world.calls(connection);
        const familyEnded = before.some((call) => call.familyEnded);
        expect([cell, before.length, familyEnded]).toEqual([cell, calls, outcome === 'lost']);
        const answer = await world.refresh(connection);
        const after = (await world.calls(connection)).slice(before.length);
        if (outcome === 'lost') {
          expect([cell, answer, after]).toEqual([cell, { code: 'connection.reauthorization_required' }, []]);
        } else {
          const current = before.findLast((call) => call.outcome === 'ok')?.issuedRefreshToken;
          const spent = expect.objectContaining({ presentedRefreshToken: current, outcome: 'ok' });
          expect([cell, answer, after]).toEqual([cell, { version: 3 }, [spent]]);
        }
      }
    },
    cellMsMax,
  );

  test('processes started as in production pass every crash point, whatever their environment says', async () => {
    for (const worker of held) await worker.kill();
    for (const point of [...crashPoints, ...vaultCrashPoints]) {
      const connection = await world.connections.connect('family', { livesMs: hourMs });
      world.arm(connection, point);
      expect([point, await world.refresh(connection)]).toEqual([point, { version: 2 }]);
      expect(world.isFired(connection)).toBe(false);
    }
    for (const { pid } of [...workers, world.vault]) expect(process.kill(pid, 0)).toBe(true);
  });

  test(
    'nobody refreshed for longer than the tokens live: each is refreshed once or truthfully reported, unasked',
    async () => {
      for (const worker of [...workers, ...held]) await worker.kill();
      const living = await Promise.all(reuseRules.map((rule) => world.connections.connect(rule, { livesMs: briefMs })));
      const revoked = await world.connections.connect('family', { livesMs: briefMs, revokedAtAcme: true });
      const endMs = Math.max(...[...living, revoked].map(({ accessTokenExpiresAtMs }) => accessTokenExpiresAtMs));
      await waitFor(() => Date.now() > endMs, { timeoutMs: patienceMs, describe: 'the tokens to end' });
      await world.start('refresh', { preloaded: false });
      for (const connection of [...living, revoked]) {
        const settled = async () => {
          const { credential, authorization } = await world.state(connection);
          return credential?.version === 2 || authorization === 'reauthorization_required';
        };
        await waitFor(settled, { timeoutMs: patienceMs, describe: 'a connection to be refreshed or reported' });
      }
      const done = async () => (await world.workLeft()) === 0;
      await waitFor(done, { timeoutMs: patienceMs, describe: 'every due message to be worked off' });
      for (const connection of living) {
        expect((await world.state(connection)).credential?.version).toBe(2);
        expect(await world.calls(connection)).toEqual([expect.objectContaining({ outcome: 'ok' })]);
      }
      expect(await world.state(revoked)).toMatchObject({ evidence: 'invalid_grant', credential: { version: 1 } });
      expect(await world.calls(revoked)).toEqual([expect.objectContaining({ outcome: 'invalid_grant' })]);
    },
    cellMsMax,
  );
});

/** Does a claim stand, and its worker is gone or still? */
function leavesAClaim({ happens, left }: CrashRow): boolean {
  return !happens.startsWith(vaultDies) && left.length > 0 && !left.includes('AccessTokenRefreshed');
}

/** What has a retry before it comes later, and last what nobody has claimed: its message is delivered again by itself. */
function turnOf({ happens, added, left }: CrashRow): number {
  if (left.length === 0) return 3;
  if (happens === isHeld) return 2;
  return added[0] === 'RefreshInterrupted' ? 1 : 0;
}

/** What is to stand in the log when all is over. */
function expectedEvents({ left, added }: CrashRow, outcome: 'refreshed' | 'lost'): string[] {
  if (left.includes('AccessTokenRefreshed')) return [...left, ...added];
  const last = outcome === 'lost' ? ['RefreshRejected', 'ReauthorizationRequired'] : ['AccessTokenRefreshed'];
  return [...left, ...added, ...last];
}

/** Never two calls at the token endpoint for one claim. */
function eachClaimIsSpentOnce(events: readonly LoggedEvent[], calls: number): void {
  const claims = events.filter(({ type }) => type === 'RefreshTokenReleased').map(({ data }) => data['claimId']);
  expect(new Set(claims).size).toBe(claims.length);
  expect(calls).toBeLessThanOrEqual(claims.length);
}

/** Where the token may have been spent, the living access token is served to its end before it is tried again. */
function theRetryWaitsForTheTokensEnd(events: readonly LoggedEvent[], connection: CrashConnection): void {
  const interrupted = events.findIndex(({ type }) => type === 'RefreshInterrupted');
  if (interrupted < 0) return;
  const retry = events.slice(interrupted).find(({ type }) => type === 'RefreshStarted');
  if (retry !== undefined) expect(retry.atMs).toBeGreaterThanOrEqual(connection.accessTokenExpiresAtMs);
}

/** The verdict and what it means for the end user are one decision. */
function itIsSaidAtOnce(events: readonly LoggedEvent[]): void {
  const [rejected, required] = events.slice(-2);
  expect(rejected?.data).toMatchObject({ error: 'invalid_grant' });
  expect(required?.commitId).toBe(rejected?.commitId);
}
