import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';

import type { operations, ReplyOf } from '@postern/contracts';

import { expectThat, type Proof } from './expect-that.ts';
import type { World } from './world.ts';

const command = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));

interface Ran {
  readonly code: number;
  readonly stdout: string;
}

/** Runs the `postern` command as a person would, on the story's data folder. */
function postern({ session }: World, ...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const all = [command, ...args, '--data', session.folder.root, '--json'];
    execFile(process.execPath, all, { maxBuffer: 64 * 1024 * 1024 }, (error, stdout) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout });
    });
  });
}

type Line = { readonly type?: string; readonly at?: string; readonly state?: { readonly authorization: string } };
const linesOf = ({ stdout }: Ran) =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);

/** The last step: replay, replay at a past moment, verify, and a copy with one changed byte. */
export async function tellThePast(world: World): Promise<Proof> {
  const life = linesOf(await postern(world, 'events', 'replay', '--connection', world.connectionId));
  const types = life.flatMap(({ type }) => (type === undefined ? [] : [type]));
  for (const type of [
    'ConnectionAuthorized',
    'RefreshTokenRotated',
    'RefreshRejected',
    'ConnectionReauthorized',
    'ConnectionRevoked',
  ]) {
    expectThat(`the replay tells ${type}`, types.includes(type), types);
  }
  const refreshedAt = life.find(({ type }) => type === 'AccessTokenRefreshed')?.at ?? '';
  const soonAfter = new Date(Date.parse(refreshedAt) + 1).toISOString();
  const past = linesOf(
    await postern(world, 'events', 'replay', '--connection', world.connectionId, '--at', soonAfter),
  ).at(-1);
  const now = life.at(-1);
  expectThat('it was authorized then', past?.state?.authorization === 'authorized', past);
  expectThat('it is revoked now', now?.state?.authorization === 'revoked', now);
  const receipt = join(world.dataRoot, 'lease.receipt');
  writeFileSync(receipt, world.leaseReceipt);
  const [asked, verified] = await Promise.all([
    askThePast(world, soonAfter),
    postern(world, 'audit', 'verify', '--receipt', receipt),
  ]);
  expectThat('the log is whole', verified.code === 0, verified.stdout);
  const position = await changedByteIsFound(world);
  return {
    events: types.length,
    state_then: past?.state?.authorization,
    state_now: now?.state?.authorization,
    ...asked,
    audit_verify: 'whole, and the record of the receipt stands where it was promised',
    changed_byte: `found at position ${position}`,
  };
}

type WhoDid = ReplyOf<typeof operations.whoDid>;
type Diff = Pick<ReplyOf<typeof operations.diff>, 'changes'>;
interface Reach {
  readonly connections: readonly {
    readonly connection_id: string;
    readonly could: boolean;
    readonly uses: { readonly granted: number; readonly refused: number };
  }[];
}
type WhoCould = ReplyOf<typeof operations.whoCould>;

/** Who used it, and who could have, then and now; the platform hears of its own the same over HTTP. */
async function askThePast(world: World, then: string): Promise<Proof> {
  const one = ['--connection', world.connectionId];
  const [did, could, between, reached] = await Promise.all([
    postern(world, 'audit', 'who-did', ...one),
    postern(world, 'audit', 'who-could', ...one, '--at', then),
    postern(world, 'audit', 'diff', '--at', then),
    postern(world, 'audit', 'reach', world.agentId),
  ]);
  const { changes } = JSON.parse(between.stdout) as Diff;
  const change = changes.find(({ id }) => id === world.connectionId);
  const [was, is] = [change?.before?.['authorization'], change?.after['authorization']];
  expectThat('the difference tells that it was revoked since', was === 'authorized' && is === 'revoked', changes);
  const reach = JSON.parse(reached.stdout) as Reach;
  const used = reach.connections.find(({ connection_id: id }) => id === world.connectionId);
  const { answered_at: at, uses } = JSON.parse(did.stdout) as Pick<WhoDid, 'answered_at' | 'uses'>;
  const {
    connections: [couldThen],
  } = JSON.parse(could.stdout) as WhoCould;
  const granted = uses.filter(({ outcome }) => outcome === 'granted');
  const refused = uses.filter(({ outcome }) => outcome === 'refused');
  expectThat(
    'each granted use tells its scopes',
    granted.length > 0 && granted.every(({ scope }) => scope !== null),
    uses,
  );
  expectThat('each refused use tells why', refused.length > 0 && refused.every(({ code }) => code !== null), uses);
  expectThat(
    'what its agent reaches and used is told, too',
    used?.could === false && used.uses.granted === granted.length && used.uses.refused === refused.length,
    reach,
  );
  const overHttp = async (question: string, more: Readonly<Record<string, string>>) => {
    const query = new URLSearchParams({ connection_id: world.connectionId, ...more });
    return (await world.http.request('GET', `/v1/audit/${question}?${query.toString()}`)).body;
  };
  const heard = await overHttp('who-did', { at: at.moment, limit: '200' });
  expectThat('the platform hears the same over HTTP', isDeepStrictEqual(heard['uses'], uses.slice(0, 200)), heard);
  const [couldNow] = (await overHttp('who-could', {}))['connections'] as WhoCould['connections'];
  expectThat('it could be used then', couldThen?.could === true, couldThen);
  expectThat('it cannot be used now', couldNow?.code === 'connection.revoked', couldNow);
  return {
    who_did: `${granted.length} granted, ${refused.length} refused`,
    who_could_then: couldThen?.scope,
    who_could_now: couldNow?.code,
    changed_since: change?.changed.join(' '),
  };
}

async function changedByteIsFound(world: World): Promise<number> {
  const copy = join(world.dataRoot, 'copy.ndjson');
  const { stdout } = await postern(world, 'events', 'export', '--connection', world.connectionId);
  writeFileSync(copy, stdout, { mode: 0o600 });
  const whole = await postern(world, 'audit', 'verify', '--file', copy);
  expectThat('the copy is whole before the change', whole.code === 0, whole.stdout);
  writeFileSync(copy, readFileSync(copy, 'utf8').replace('"RefreshRejected"', '"RefreshRejectee"'));
  const broken = await postern(world, 'audit', 'verify', '--file', copy);
  expectThat('the changed byte is found', broken.code === 1, broken);
  const { logs } = JSON.parse(broken.stdout) as { logs: Record<string, { findings: { position: number }[] }> };
  return Object.values(logs)[0]?.findings[0]?.position ?? 0;
}
