import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import type { AcmeClient, AcmeClientRegistration } from './acme-clients.ts';
import type { AcmeOrder } from './acme-control.ts';
import type { AcmeFaultPlan } from './acme-faults.ts';
import type { AcmeCounts, AcmeTokenCall } from './acme-meter.ts';
import type { AcmeSecurityEvent } from './acme-security-events.ts';
import type { AcmeEndpoints } from './start-acme.ts';

/** What `GET /_counts` answers. */
export interface AcmeReport extends AcmeCounts {
  /** Calls that a `hold` fault keeps waiting at this moment. */
  readonly held: number;
  readonly tokenCalls: readonly AcmeTokenCall[];
  /** Of the authorization requests that were pushed (RFC 9126), oldest first. */
  readonly codeChallenges: readonly string[];
}

/** An Acme in another process: the same as `Acme`, but every answer has to come over the wire. */
export interface AcmeProcess {
  readonly issuer: string;
  readonly port: number;
  readonly pid: number;
  readonly endpoints: AcmeEndpoints;
  registerClient(registration: AcmeClientRegistration): Promise<AcmeClient>;
  setAccessTokenTtl(seconds: number): Promise<void>;
  /** @returns the status that the receiver answered with. */
  pushSecurityEvent(event: AcmeSecurityEvent): Promise<number>;
  setFaults(plan: AcmeFaultPlan): Promise<void>;
  releaseHeld(): Promise<void>;
  clearFaults(): Promise<void>;
  report(): Promise<AcmeReport>;
  close(): Promise<void>;
}

interface ReadyLine {
  readonly issuer: string;
  readonly port: number;
  readonly endpoints: AcmeEndpoints;
  readonly controlToken: string;
}

/**
 * Starts Acme CRM in a process of its own, as a third party is, which ends with this one even after `kill -9`.
 *
 * @throws when the process ends before it is ready; its stderr is this process's own, unless `quiet`.
 */
export async function startAcmeProcess(
  options: { readonly port?: number; readonly accessTokenTtlS?: number; readonly quiet?: boolean } = {},
): Promise<AcmeProcess> {
  const program = new URL(import.meta.url.endsWith('.ts') ? './acme-process.ts' : './acme-process.js', import.meta.url);
  const args = [
    ...(options.port === undefined ? [] : ['--port', String(options.port)]),
    ...(options.accessTokenTtlS === undefined ? [] : ['--access-token-ttl-s', String(options.accessTokenTtlS)]),
  ];
  const child = spawn(process.execPath, [fileURLToPath(program), ...args], {
    stdio: ['pipe', 'pipe', options.quiet ? 'ignore' : 'inherit'],
  });
  const { issuer, port, endpoints, controlToken } = await readyLine(child, child.stdout);
  const order = (what: AcmeOrder) => give(issuer, controlToken, what);

  return {
    issuer,
    port,
    endpoints,
    pid: child.pid ?? 0,
    registerClient: async (registration) => (await order({ do: 'registerClient', registration })) as AcmeClient,
    setAccessTokenTtl: async (seconds) => void (await order({ do: 'setAccessTokenTtl', seconds })),
    pushSecurityEvent: async (event) => (await order({ do: 'pushSecurityEvent', event })) as number,
    setFaults: async (plan) => void (await order({ do: 'setFaults', plan })),
    releaseHeld: async () => void (await order({ do: 'releaseHeld' })),
    clearFaults: async () => void (await order({ do: 'clearFaults' })),
    report: () => readAcmeReport(issuer),
    close: () => end(child),
  };
}

/** Reads the counters of any Acme, from any process on this machine. */
export async function readAcmeReport(issuer: string): Promise<AcmeReport> {
  const response = await fetch(`${issuer}/_counts`);
  return (await response.json()) as AcmeReport;
}

async function readyLine(child: ChildProcess, stdout: Readable): Promise<ReadyLine> {
  const lines = createInterface({ input: stdout });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`Acme ended before it was ready (exit code ${code})`);
  });
  const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string];
  return JSON.parse(line) as ReadyLine;
}

async function give(issuer: string, controlToken: string, order: AcmeOrder): Promise<unknown> {
  const response = await fetch(`${issuer}/_control`, {
    method: 'POST',
    headers: { authorization: `Bearer ${controlToken}`, 'content-type': 'application/json' },
    body: JSON.stringify(order),
  });
  const answer = (await response.json()) as { result?: unknown; error?: string };
  if (!response.ok) throw new Error(`Acme refused ${order.do}: ${answer.error}`);
  return answer.result;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.stdin?.end();
  await exited;
}
