import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

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
  const verified = await postern(world, 'audit', 'verify');
  expectThat('the log is whole', verified.code === 0, verified.stdout);
  const position = await changedByteIsFound(world);
  return {
    events: types.length,
    state_then: past?.state?.authorization,
    state_now: now?.state?.authorization,
    audit_verify: 'whole',
    changed_byte: `found at position ${position}`,
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
