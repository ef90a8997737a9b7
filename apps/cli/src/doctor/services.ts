import { prometheusName, type MetricName } from '@postern/contracts';
import { z } from 'zod';

import { fine, wrong, type Finding } from './finding.ts';

const askTimeoutMs = 2_000;

/** What `/readyz` answers. */
const Readiness = z.object({ ready: z.boolean(), checks: z.record(z.string(), z.string()) });
type Readiness = z.infer<typeof Readiness>;

/** What one service says of itself. */
export interface ServiceAnswer {
  readonly app: string;
  readonly port: number;
  /** Null where nobody answers. */
  readonly readiness: Readiness | null;
  /** What it tells Prometheus; empty where nobody answers. */
  readonly metrics: string;
}

/** Asks a service of this machine. Never rejects: silence is an answer. */
export async function askService(app: string, port: number): Promise<ServiceAnswer> {
  const [readiness, metrics] = await Promise.all([
    ask(port, 'readyz').then((answer) => Readiness.safeParse(parsed(answer)).data ?? null),
    ask(port, 'metrics'),
  ]);
  return { app, port, readiness, metrics };
}

async function ask(port: number, path: string): Promise<string> {
  try {
    const signal = AbortSignal.timeout(askTimeoutMs);
    return await (await fetch(`http://127.0.0.1:${port}/${path}`, { signal })).text();
  } catch {
    return '';
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether a service may be sent work, and why not. */
export function serviceFinding({ app, port, readiness }: ServiceAnswer, logDir: string): Finding {
  const log = `tail -n 50 ${logDir}/${app}.log`;
  if (readiness === null) return wrong(app, `nobody answers at http://127.0.0.1:${port}`, log);
  if (readiness.ready) return fine(app, `ready at http://127.0.0.1:${port}, numbers at /metrics`);
  const reasons = Object.entries(readiness.checks).filter(([, answer]) => answer !== 'ok');
  const isStale = reasons.some(([, answer]) => answer.includes('the feed is not proved fresh'));
  const words = reasons.map(([check, answer]) => `${check}: ${answer}`).join('; ');
  return wrong(app, `not ready (${words})`, isStale ? 'docs/runbooks/feed-stale.md' : log);
}

/** Numbers that must be 0, what it means when they are not, and where it is said what to do. */
const alarms: readonly (readonly [MetricName, string, string])[] = [
  ['postern.audit.findings', 'messages of the log are not as they must be', 'docs/runbooks/log-not-whole.md'],
  ['postern.audit.checkpoint.findings', 'the log is not what was checkpointed', 'docs/runbooks/log-not-whole.md'],
  ['postern.vault.ciphertexts.unopened', 'stored ciphertexts did not open in their place', 'docs/flows/keys.md'],
  [
    'postern.refresh.rejection_waves',
    'a provider calls one refresh token after the other dead',
    'docs/runbooks/refresh-failing.md',
  ],
  ['postern.refresh.late', 'connections are due for a while', 'docs/runbooks/refresh-late.md'],
];

/** What the numbers of a service call for. */
export function alarmFindings({ app, metrics }: ServiceAnswer): Finding[] {
  return alarms.flatMap(([name, meaning, page]) => {
    const count = sumOf(metrics, prometheusName(name));
    return count > 0 ? [wrong(app, `${meaning} (${count})`, page)] : [];
  });
}

/** All series of a metric together. */
export function sumOf(metrics: string, name: string): number {
  return metrics
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
