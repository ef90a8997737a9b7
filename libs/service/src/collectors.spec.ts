import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import { jest } from '@jest/globals';
import { diag, trace } from '@opentelemetry/api';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { Logger } from './logger.ts';
import { Metrics } from './metrics.ts';
import { complainOfCollectors, sendMetrics, spanExporters } from './otlp.ts';
import { atMost, flushMsMax, flushTelemetry, startTelemetry, withArrival, withCall } from './telemetry.ts';

const teller = { app: 'vault', instanceId: 'one', version: '0' };
/** What OpenTelemetry's processor keeps, and how much of that it sends at a time, where nobody says otherwise. */
const [queueMax, batchMax] = [2_048, 512];

/** Takes what it is sent, and answers as it is told: not at all, with a cut, or well. */
class Collector {
  fate: 'hangs' | 'resets' | 'answers' = 'hangs';
  readonly #held = new Set<ServerResponse>();
  readonly #spanIds = new Set<string>();
  requests = 0;
  readonly #server = createServer((request, response) => {
    this.requests += 1;
    if (this.fate === 'resets') return void request.socket.resetAndDestroy();
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const told = Buffer.concat(chunks).toString('utf8');
      for (const [, id = ''] of told.matchAll(/"spanId":"([0-9a-f]{16})"/g)) this.#spanIds.add(id);
      if (this.fate === 'hangs') this.#held.add(response);
      else answer(response);
    });
  });

  async start(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Which spans came, each once, however often it was sent. */
  get spans(): number {
    return this.#spanIds.size;
  }

  has(spanId: string): boolean {
    return this.#spanIds.has(spanId);
  }

  get held(): number {
    return this.#held.size;
  }

  recover(): void {
    this.fate = 'answers';
    for (const response of this.#held) answer(response);
    this.#held.clear();
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function answer(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
}

const arrival = { name: 'arrival', kind: 'request', headers: {} } as const;
const collectors: Collector[] = [];
afterAll(async () => {
  delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  for (const collector of collectors) await collector.stop();
});

/** @returns OpenTelemetry's exporters read the process's environment themselves. */
function sendTo(endpoint: string) {
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = endpoint;
  return {
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_TRACES_SAMPLER: 'always_on',
    OTEL_METRIC_EXPORT_INTERVAL: '100',
  };
}

async function collectorThat(fate: Collector['fate']): Promise<{ collector: Collector; endpoint: string }> {
  const collector = new Collector();
  collector.fate = fate;
  collectors.push(collector);
  return { collector, endpoint: await collector.start() };
}

test('whoever works waits for no collector: not for one turn of the event loop', async () => {
  const { collector, endpoint } = await collectorThat('hangs');
  await startTelemetry(sendTo(endpoint), teller);
  const handled = async () => await withArrival(arrival, () => withCall('ask', async () => 'done'));
  let done = 0;
  for (let count = 0; count < 2 * queueMax; count += 1) void handled().then(() => (done += 1));
  // Microtasks alone: no timer and no socket comes between.
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
  expect(done).toBe(2 * queueMax);
  // Stopping ends although nothing was ever answered.
  await flushTelemetry();
  expect(collector.held).toBeGreaterThan(0);
  expect(trace.getActiveSpan()).toBeUndefined();
});

test('a stopping service waits for two seconds, and for no longer', async () => {
  jest.useFakeTimers();
  try {
    let ended = false;
    void atMost(flushMsMax, new Promise(() => undefined)).then(() => (ended = true));
    await jest.advanceTimersByTimeAsync(flushMsMax - 1);
    expect(ended).toBe(false);
    await jest.advanceTimersByTimeAsync(1);
    expect(ended).toBe(true);
  } finally {
    jest.useRealTimers();
  }
});

test.each(['hangs', 'resets', 'is gone'] as const)(
  'of a collector that %s no more is remembered than the queue holds; once it is well again, it is told on',
  async (fate) => {
    const { collector, endpoint } = await collectorThat(fate === 'is gone' ? 'answers' : fate);
    if (fate === 'is gone') await collector.stop();
    const env = sendTo(endpoint);
    const provider = new NodeTracerProvider({ spanProcessors: await spanExporters(env) });
    const metrics = new Metrics();
    metrics.counter('postern.webhooks').add();
    const sender = await sendMetrics(env, metrics, teller);
    for (let count = 0; count < 10 * queueMax; count += 1) provider.getTracer('spec').startSpan('lease').end();
    const flush = async () =>
      await atMost(
        flushMsMax,
        provider.forceFlush().catch(() => undefined),
      );
    await Promise.all([flush(), atMost(flushMsMax, sender?.stop())]);
    if (fate === 'is gone') await collector.start(Number(new URL(endpoint).port));
    else expect(collector.requests).toBeGreaterThan(0);
    collector.recover();
    const afterwards = provider.getTracer('spec').startSpan('afterwards');
    afterwards.end();
    await provider.forceFlush().catch(() => undefined);
    expect(collector.spans).toBeLessThanOrEqual(queueMax + batchMax + 1);
    expect(collector.has(afterwards.spanContext().spanId)).toBe(true);
    await atMost(flushMsMax, provider.shutdown());
  },
);

test('a collector that does not take what it is sent is complained of now and then, not in its own words', () => {
  const lines: string[] = [];
  const destination = new Writable({ write: (chunk, _encoding, done) => (lines.push(String(chunk)), done()) });
  complainOfCollectors(new Logger({ level: 'info', base: {}, destination }));
  for (let times = 0; times < 3; times += 1) diag.error('http://user:hunter2@collector refused');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('the collector does not take');
  expect(lines[0]).not.toContain('hunter2');
});

test('without an endpoint, and where it is switched off, no numbers are sent', async () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_METRICS_EXPORTER: 'none' };
  expect(await sendMetrics({}, new Metrics(), teller)).toBeUndefined();
  expect(await sendMetrics(env, new Metrics(), teller)).toBeUndefined();
});
