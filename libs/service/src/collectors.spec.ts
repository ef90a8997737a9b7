import { createServer, type AddressInfo, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { diag } from '@opentelemetry/api';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { Logger } from './logger.ts';
import { Metrics } from './metrics.ts';
import { complainOfCollectors, sendMetrics, spanExporters } from './otlp.ts';
import { atMost, flushMsMax } from './telemetry.ts';

const teller = { app: 'vault', instanceId: 'one', version: '0' };
/** Far less than a collector is waited for by whoever waits. */
const soonMs = 8_000;
const sockets = new Set<Socket>();
/** Takes connections and never answers. */
const hanging = createServer((socket) => void sockets.add(socket));

afterAll(() => {
  for (const socket of sockets) socket.destroy();
  hanging.close();
});

async function endpointOf(fate: 'hangs' | 'is gone'): Promise<string> {
  // Nobody may listen below 1024 unasked, and nobody does on the first port.
  if (fate === 'is gone') return 'http://127.0.0.1:1';
  await new Promise<void>((resolve) => hanging.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(hanging.address() as AddressInfo).port}`;
}

test.each(['hangs', 'is gone'] as const)('a collector that %s is waited for by nobody', async (fate) => {
  const endpoint = await endpointOf(fate);
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = endpoint;
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_METRIC_EXPORT_INTERVAL: '100' };
  const provider = new NodeTracerProvider({ spanProcessors: await spanExporters(env) });
  const metrics = new Metrics();
  metrics.counter('postern.webhooks').add();
  const sender = await sendMetrics(env, metrics, teller);
  const startedMs = performance.now();
  // More than the queue holds: the rest is let go, and nobody is held up.
  for (let count = 0; count < 10_000; count += 1) provider.getTracer('spec').startSpan('lease').end();
  while (fate === 'hangs' && sockets.size === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  const flushed = provider.forceFlush().catch(() => undefined);
  await Promise.all([atMost(flushMsMax, flushed), atMost(flushMsMax, sender?.stop())]);
  expect(performance.now() - startedMs).toBeLessThan(soonMs);
});

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
