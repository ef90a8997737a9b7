import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import type { Secret } from '@postern/crypto';

const example = (name: string) => fileURLToPath(new URL(`../../../../examples/${name}`, import.meta.url));
const run = promisify(execFile);

/** An answer over HTTP as the platform reads it. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** The agent platform's own software, over HTTP: nothing of ours but the documented surface. */
export class PlatformHttp {
  readonly #base: string;
  #accessToken = '';
  #credentials: readonly [string, Secret] | undefined;

  constructor(base: string) {
    this.#base = base;
  }

  /** @source RFC 6749 §4.4 */
  async authenticate(clientId: string, clientSecret: Secret): Promise<HttpAnswer> {
    const basic = Buffer.from(`${clientId}:${clientSecret.reveal()}`).toString('base64');
    const answer = await this.#fetch('/oauth/token', {
      method: 'POST',
      headers: { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: 'grant_type=client_credentials',
    });
    const { access_token: token } = answer.body;
    const given = typeof token === 'string';
    if (given) {
      this.#accessToken = token;
      this.#credentials = [clientId, clientSecret];
    }
    return { status: answer.status, body: { ...answer.body, access_token: given ? 'given' : undefined } };
  }

  /** As any platform's client: a token of ours that has ended is replaced by a new one. */
  async request(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<HttpAnswer> {
    const answer = await this.#send(method, path, body);
    if (answer.status !== 401 || this.#credentials === undefined) return answer;
    const { status } = await this.authenticate(...this.#credentials);
    return status === 200 ? await this.#send(method, path, body) : answer;
  }

  async #send(method: string, path: string, body: unknown): Promise<HttpAnswer> {
    return this.#fetch(path, {
      method,
      headers: {
        authorization: `Bearer ${this.#accessToken}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }

  async #fetch(path: string, init: RequestInit): Promise<HttpAnswer> {
    const answer = await fetch(`${this.#base}${path}`, init);
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
  }
}

/** Where a platform stands on the bus. */
export interface PlatformOnBus {
  readonly natsUrl: string;
  readonly credsFile: string;
  readonly tenantId: string;
  readonly platformId: string;
}

/** What examples/request-token.mjs prints. */
export interface ExampleAnswer {
  readonly granted: number;
  readonly fingerprints: readonly string[];
  readonly lease_id?: string;
  readonly expires_at?: string;
  readonly refused: readonly Record<string, unknown>[];
  readonly api_status?: number;
}

function busArguments({ natsUrl, credsFile, tenantId, platformId }: PlatformOnBus): string[] {
  return ['--nats', natsUrl, '--creds', credsFile, '--tenant', tenantId, '--platform', platformId];
}

/** Asks for tokens over NATS from a process of its own that has nothing of ours: the committed example. */
export async function requestTokens(
  platform: PlatformOnBus,
  { connectionId, agentId, count = 1, api }: { connectionId: string; agentId: string; count?: number; api?: string },
): Promise<ExampleAnswer> {
  const args = [
    example('request-token.mjs'),
    ...busArguments(platform),
    '--connection',
    connectionId,
    '--agent',
    agentId,
    '--count',
    String(count),
    ...(api === undefined ? [] : ['--api', api]),
  ];
  const { stdout } = await run(process.execPath, args).catch((error: { stdout?: string; stderr?: string }) => {
    // Refused requests end it with code 1 and still print their line.
    if (error.stdout?.startsWith('{') === true) return { stdout: error.stdout };
    throw new Error(`the example failed: ${error.stderr ?? ''}`);
  });
  return JSON.parse(stdout) as ExampleAnswer;
}

/** What the platform hears on `notify.<tenant>.>`, from a process of its own. */
export interface Listener {
  readonly heard: readonly Record<string, unknown>[];
  close(): Promise<void>;
}

export async function listen(platform: PlatformOnBus): Promise<Listener> {
  const child = spawn(process.execPath, [example('hear-notifications.mjs'), ...busArguments(platform)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const heard: Record<string, unknown>[] = [];
  const lines = createInterface({ input: child.stdout });
  await new Promise<void>((resolve, reject) => {
    lines.once('line', () => resolve());
    void exited.then(() => reject(new Error('the listener ended before it listened')));
  });
  lines.on('line', (line) => heard.push(JSON.parse(line) as Record<string, unknown>));
  return {
    heard,
    close: async () => {
      child.stdin.end();
      await exited;
    },
  };
}
