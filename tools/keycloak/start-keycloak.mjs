/**
 * Keycloak for the checks that want another's authorization server: its distribution by Maven, once, and one server of a
 * process whose data are in memory.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

import { freePort, toolCacheDir } from '../../libs/servers/dist/index.js';

const version = '26.4.0';
const unpack = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack';
const startTimeoutMs = 300_000;
const admin = { username: 'admin', password: 'only for this process' };

/** @returns the folder of the distribution */
async function distribution() {
  const cache = toolCacheDir(process.env);
  const folder = join(cache, `keycloak-${version}`);
  if (existsSync(folder)) return folder;
  console.error('… fetching Keycloak with Maven, once (about 200 MB)');
  const partial = join(cache, `keycloak-${version}.${process.pid}.partial`);
  mkdirSync(partial, { recursive: true });
  const artifact = `org.keycloak:keycloak-quarkus-dist:${version}:zip`;
  await promisify(execFile)('mvn', ['-q', '-B', unpack, `-Dartifact=${artifact}`, `-DoutputDirectory=${partial}`], {
    cwd: partial,
  });
  renameSync(join(partial, `keycloak-${version}`), folder);
  rmSync(partial, { recursive: true, force: true });
  return folder;
}

/**
 * Starts it on a free port and makes one realm.
 *
 * @param realm as its administrators' API takes one
 * @returns the realm's issuer, and how to stop the server
 */
export async function startKeycloak(realm) {
  const port = await freePort();
  const url = `http://localhost:${port}`;
  const arguments_ = ['start-dev', '--db=dev-mem', '--http-host=127.0.0.1', `--http-port=${port}`, '--log-level=warn'];
  const server = spawn('bash', [join(await distribution(), 'bin', 'kc.sh'), ...arguments_], {
    env: {
      ...process.env,
      JAVA_OPTS_APPEND: '-Xmx512m',
      KC_BOOTSTRAP_ADMIN_USERNAME: admin.username,
      KC_BOOTSTRAP_ADMIN_PASSWORD: admin.password,
    },
    // One group: the script's Java ends with it.
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  const stop = async () => {
    if (server.pid !== undefined && server.exitCode === null) process.kill(-server.pid, 'SIGKILL');
    await ended;
  };
  try {
    const token = await adminToken(url, server);
    const made = await fetch(`${url}/admin/realms`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(realm),
    });
    if (!made.ok) throw new Error(`the realm was not made: ${made.status} ${await made.text()}`);
    return { issuer: `${url}/realms/${realm.realm}`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function adminToken(url, server) {
  const deadlineMs = Date.now() + startTimeoutMs;
  for (;;) {
    const answer = await fetch(`${url}/realms/master/protocol/openid-connect/token`, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'password', client_id: 'admin-cli', ...admin }),
    }).catch(() => undefined);
    if (answer?.ok) return (await answer.json()).access_token;
    if (server.exitCode !== null || Date.now() > deadlineMs) throw new Error('Keycloak did not start');
    await delay(500);
  }
}
