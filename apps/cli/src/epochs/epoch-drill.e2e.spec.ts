import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { EventView, Moment } from '@postern/contracts';
import { temporaryDataDir } from '@postern/servers';
import { acmeAccounts, ScriptedBrowser, waitFor } from '@postern/testing';

import { story } from '../demo/story.ts';
import { goThroughConnect, scopes, withWorld, type World } from '../demo/world.ts';
import { postern, ranPostern } from '../spec-support/postern-command.ts';
import { Traffic } from '../spec-support/traffic.ts';

const wholeTimeoutMs = 600_000;
const patience = { timeoutMs: wholeTimeoutMs / 4 };
const accessTokenTtlS = 3_600;

type Stream = 'CONNECTIONS' | 'ACCESS';
interface Standing {
  readonly streams: readonly { stream: string; first_position: number; archived_up_to: number }[];
}
interface Report {
  readonly whole: boolean;
  readonly logs: Record<Stream, { messages: number; lastPosition: number; tree: { provenUpTo: number } }>;
}

/** Where checkpoints leave the house. */
const outside = temporaryDataDir('postern-epoch-drill-');
beforeAll(() => {
  process.env['POSTERN_CHECKPOINT_INTERVAL'] = '500ms';
  process.env['POSTERN_CHECKPOINT_DIR'] = outside;
});
afterAll(() => {
  delete process.env['POSTERN_CHECKPOINT_INTERVAL'];
  delete process.env['POSTERN_CHECKPOINT_DIR'];
  rmSync(outside, { recursive: true, force: true });
});

/** Grace, who is somebody else each time to the platform. */
async function connectGrace(world: World, endUser: string): Promise<string> {
  const asked = { registration_id: world.registrationId, end_user: endUser, return_url: world.site.returnUrl, scopes };
  const started = await world.http.request('POST', '/v1/connect/sessions', asked);
  const grace = { browser: new ScriptedBrowser(), account: acmeAccounts.grace };
  const { sessionId, code } = await goThroughConnect(world, String(started.body['connect_url']), grace);
  const completion = { code, end_user: endUser };
  const { body } = await world.http.request('POST', `/v1/connect/sessions/${sessionId}/complete`, completion);
  return String(body['connection_id']);
}

/** An operator with his commands, and a platform that asks about its past. */
class Drill {
  readonly #world: World;
  readonly #folder: string;

  constructor(world: World) {
    this.#world = world;
    this.#folder = world.session.folder.root;
  }

  async told(...args: string[]): Promise<string> {
    return await postern(this.#folder, '--json', ...args);
  }

  async asked<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.told(...args)) as T;
  }

  async overHttp(path: string): Promise<Record<string, unknown>> {
    return (await this.#world.http.request('GET', `/v1/${path}`)).body;
  }

  async now(): Promise<Moment> {
    return (await this.overHttp('audit/who-did?limit=1'))['answered_at'] as Moment;
  }

  /** Repeated while it is refused for what only takes time: a checkpoint to come, a service that is not there yet. */
  async epochs(...args: string[]): Promise<Record<string, unknown>> {
    let refusal = '';
    return await waitFor(
      async () => {
        const { exitCode, stdout, stderr } = await ranPostern(this.#folder, '--json', 'epochs', ...args);
        if (exitCode === 0) return JSON.parse(stdout) as Record<string, unknown>;
        refusal = stderr;
        if (/log\.(unavailable|conflict)/.test(stderr)) return undefined;
        throw new Error(`postern epochs ${args.join(' ')} ended with ${exitCode}: ${stderr}`);
      },
      { ...patience, describe: () => `postern epochs ${args.join(' ')}: ${refusal}` },
    );
  }

  /** Waits until a checkpoint that covers a position has left the house. */
  async checkpointed(stream: Stream, position: number): Promise<void> {
    const covers = () => existsSync(fileOf(stream)) && Number(readFileSync(fileOf(stream), 'utf8').split('\n')[1]);
    const describe = `a checkpoint of ${stream} up to ${position}`;
    await waitFor(() => Number(covers()) >= position, { ...patience, describe });
  }

  /** The same, as somebody else keeps it. @returns its file. */
  async kept(stream: Stream, position: number): Promise<string> {
    await this.checkpointed(stream, position);
    const copy = join(this.#world.dataRoot, `${stream}.kept`);
    copyFileSync(fileOf(stream), copy);
    return copy;
  }

  /** All that happened to a connection, as its platform hears it page by page. */
  async lifeOf(id: string): Promise<EventView[]> {
    const events: EventView[] = [];
    for (let after: number | null = 0; after !== null;) {
      const page = await this.overHttp(`connections/${id}/events?after=${after}`);
      events.push(...(page['events'] as EventView[]));
      after = page['next'] as number | null;
    }
    return events;
  }
}

const fileOf = (stream: Stream) => join(outside, `${stream}.checkpoint`);

/** What is asked about: it is leased with a receipt, suspended and refused between two moments. */
async function lifeBefore(drill: Drill, { http, agentId, dataRoot }: World, id: string) {
  const early = await drill.now();
  const use = { agent_id: agentId, purpose: 'before the cut', receipt: true };
  const lease = await http.request('POST', `/v1/connections/${id}/token`, use);
  await http.request('POST', `/v1/connections/${id}/suspend`, {});
  const refused = await http.request('POST', `/v1/connections/${id}/token`, use);
  expect([lease.status, refused.body['code']]).toEqual([200, 'connection.suspended']);
  const late = await drill.now();
  await http.request('POST', `/v1/connections/${id}/resume`, {});
  const receipt = join(dataRoot, 'lease.receipt');
  writeFileSync(receipt, String(lease.body['receipt']));
  return { early, late, receipt, leaseId: String(lease.body['lease_id']) };
}

test(
  'an epoch is opened, swept, archived and dropped while leases and refreshes go on, and the past is told as before',
  async () => {
    await withWorld(
      () => undefined,
      async (world) => {
        const drill = new Drill(world);
        await world.acme.setAccessTokenTtl(accessTokenTtlS);
        for (const step of story.slice(0, 2)) await step.run(world);
        const busy = [world.connectionId, await connectGrace(world, 'busy')];
        const idle = [await connectGrace(world, 'idle'), await connectGrace(world, 'never used')];
        const [paused = ''] = idle;
        const traffic = new Traffic(world, { leased: [...busy, paused], refreshed: busy });
        await traffic.goesOn(10, patience);
        await traffic.pause();
        const { early, late, receipt, leaseId } = await lifeBefore(drill, world, paused);
        traffic.resume();

        const ofConnections = await drill.kept('CONNECTIONS', late.connections);
        const ofAccess = await drill.kept('ACCESS', late.access);
        const past = async () =>
          await Promise.all([
            drill.told('events', 'replay', '--connection', paused, '--at', late.time, '--explain'),
            drill.told('audit', 'prove', leaseId, '--checkpoint', ofAccess),
            drill.overHttp(`audit/who-could?at=${late.moment}`).then(JSON.stringify),
            drill.overHttp(`audit/who-could?at=${early.time}`).then(JSON.stringify),
            drill.overHttp(`audit/who-did?at=${late.moment}`).then(JSON.stringify),
            drill
              .overHttp(`audit/diff?at=${early.moment}&until=${late.moment}&after=connections.0`)
              .then(JSON.stringify),
            drill.overHttp(`connections/${paused}/events?limit=2`).then(JSON.stringify),
          ]);
        const before = await past();
        // The proof holds it as bytes, and its own events do not name it.
        expect(before.filter((answer) => answer.includes(paused))).toHaveLength(before.length - 2);

        const opened = await drill.epochs('open');
        expect(opened).toMatchObject({ epoch: 2 });
        expect(opened['from']).toBeGreaterThan(late.connections);
        expect(await drill.epochs('sweep')).toEqual({ epoch: 2, moved: busy.length + idle.length });
        await drill.checkpointed('CONNECTIONS', Number(opened['from']));
        await drill.checkpointed('ACCESS', late.access + 1);
        const archived = [
          await drill.epochs('archive'),
          await drill.epochs('archive', '--log', 'ACCESS', '--before', new Date().toISOString()),
        ].map(({ to }) => Number(to));
        const dropped = [await drill.epochs('drop'), await drill.epochs('drop', '--log', 'ACCESS')];
        expect(dropped.map(({ up_to: upTo }) => upTo)).toEqual(archived);
        const { streams } = await drill.asked<Standing>('epochs', 'list');
        expect(streams.map(({ first_position: first }) => first - 1)).toEqual(archived);
        expect(archived.map((upTo, at) => upTo >= ([late.connections, late.access][at] ?? 0))).toEqual([true, true]);
        // Behind the cut it goes on, too.
        await traffic.goesOn(10, patience);

        expect(await past()).toEqual(before);
        const outsiders = ['--receipt', receipt, '--checkpoint', ofConnections, '--checkpoint', ofAccess];
        const { whole, logs } = await drill.asked<Report>('audit', 'verify', ...outsiders);
        expect(whole).toBe(true);
        for (const { messages, lastPosition } of Object.values(logs)) expect(messages).toBe(lastPosition);
        expect(logs.CONNECTIONS.tree.provenUpTo).toBeGreaterThanOrEqual(late.connections);
        expect(logs.ACCESS.tree.provenUpTo).toBeGreaterThanOrEqual(late.access);
        await traffic.stop();
        expect(traffic.failures).toEqual([]);

        await noRefreshIsLost(drill, world, traffic);
      },
    );
  },
  wholeTimeoutMs,
);

/** Each refresh that Acme counted stands in the log, across the cut, under the version that was answered; and is used. */
async function noRefreshIsLost(drill: Drill, { acme }: World, { tokens, versions }: Traffic): Promise<void> {
  let refreshes = 0;
  for (const [id, answered] of versions) {
    const life = (await drill.lifeOf(id)).filter(({ type }) => type === 'AccessTokenRefreshed');
    const stored = life.map(({ data }) => data['credentialVersion']);
    expect(stored).toEqual(stored.map((_, index) => index + 2));
    expect(stored.at(-1)).toBe(answered);
    refreshes += stored.length;
  }
  const { tokenCalls } = await acme.report();
  expect(tokenCalls.filter(({ grantType }) => grantType === 'refresh_token')).toHaveLength(refreshes);
  for (const token of tokens.values()) {
    const { status } = await fetch(acme.endpoints.contacts, { headers: { authorization: `Bearer ${token}` } });
    expect(status).toBe(200);
  }
}
