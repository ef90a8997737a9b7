import { DiagLogLevel, diag, type DiagLogger } from '@opentelemetry/api';
import { resourceFromAttributes, type Resource } from '@opentelemetry/resources';
import { BatchSpanProcessor, type SpanProcessor } from '@opentelemetry/sdk-trace-node';
import { PosternError } from '@postern/contracts';
import type { Environment } from './config.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

/** Who tells: which app, and which of its instances. */
export interface Teller {
  readonly app: string;
  readonly instanceId: string;
  readonly version: string;
}

const exportIntervalMsDefault = 60_000;
/** One line a minute says that a collector does not take what it is sent. */
const complaintIntervalMs = 60_000;

/** Where OTLP goes for a kind of telemetry, by OpenTelemetry's own variables; undefined: nowhere. */
function isSent(env: Environment, kind: 'TRACES' | 'METRICS'): boolean {
  if (env['OTEL_SDK_DISABLED'] === 'true' || env[`OTEL_${kind}_EXPORTER`] === 'none') return false;
  return Boolean(env['OTEL_EXPORTER_OTLP_ENDPOINT'] || env[`OTEL_EXPORTER_OTLP_${kind}_ENDPOINT`]);
}

/** What sends spans: from a queue of a bounded size, beside everything else. What finds no place in it is let go. */
export async function spanExporters(env: Environment): Promise<SpanProcessor[]> {
  if (!isSent(env, 'TRACES')) return [];
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
  return [new BatchSpanProcessor(new OTLPTraceExporter())];
}

/** Whom the telemetry is of. @source OpenTelemetry semantic conventions, service.* */
export function telemetryResource(env: Environment, { app, instanceId, version }: Partial<Teller>): Resource {
  return resourceFromAttributes({
    'service.namespace': 'postern',
    'service.name': env['OTEL_SERVICE_NAME'] ?? `postern-${app ?? 'unknown'}`,
    ...(instanceId !== undefined && { 'service.instance.id': instanceId }),
    ...(version !== undefined && { 'service.version': version }),
  });
}

/** Sends a service's numbers until it is stopped. */
export interface MetricSender {
  stop(): Promise<void>;
}

/**
 * Sends what `/metrics` tells, over OTLP, each `OTEL_METRIC_EXPORT_INTERVAL`.
 *
 * @returns undefined where `OTEL_EXPORTER_OTLP_ENDPOINT` (or its `_METRICS_` form) does not say where to.
 */
export async function sendMetrics(
  env: Environment,
  metrics: Metrics,
  teller: Teller,
): Promise<MetricSender | undefined> {
  if (!isSent(env, 'METRICS')) return undefined;
  const [{ OTLPMetricExporter }, { MeterProvider, PeriodicExportingMetricReader }, { MetricBridge }] =
    await Promise.all([
      import('@opentelemetry/exporter-metrics-otlp-http'),
      import('@opentelemetry/sdk-metrics'),
      import('./metric-bridge.ts'),
    ]);
  const exportIntervalMillis = exportIntervalMs(env);
  const provider = new MeterProvider({
    resource: telemetryResource(env, teller),
    readers: [
      new PeriodicExportingMetricReader({
        exporter: new OTLPMetricExporter(),
        exportIntervalMillis,
        exportTimeoutMillis: Math.min(exportIntervalMillis, 10_000),
        metricProducers: [new MetricBridge(metrics)],
      }),
    ],
  });
  return { stop: () => provider.shutdown().catch(() => undefined) };
}

function exportIntervalMs({ OTEL_METRIC_EXPORT_INTERVAL: given }: Environment): number {
  if (!given) return exportIntervalMsDefault;
  const ms = Number(given);
  if (Number.isSafeInteger(ms) && ms >= 100) return ms;
  throw new PosternError('config.invalid', 'OTEL_METRIC_EXPORT_INTERVAL must be milliseconds, 100 or more.');
}

/** Says that telemetry does not arrive, now and then; not why in its own words, which may hold a collector's password. */
export function complainOfCollectors(logger: Logger): void {
  let nextMs = 0;
  const complain = () => {
    if (performance.now() < nextMs) return;
    nextMs = performance.now() + complaintIntervalMs;
    logger.warn('the collector does not take traces or metrics; nothing waits for it, and some are lost');
  };
  const silent = () => undefined;
  const listener: DiagLogger = { error: complain, warn: silent, info: silent, debug: silent, verbose: silent };
  diag.setLogger(listener, { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true });
}
