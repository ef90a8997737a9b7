import {
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Span,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  NodeTracerProvider,
  ParentBasedSampler,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace-node';
import { isPosternError } from '@postern/contracts';
import type { Environment } from './config.ts';
import { acceptCorrelationId, correlationHeader, correlationId, withCorrelationId } from './request-context.ts';

const tracerName = 'postern';

let running: NodeTracerProvider | undefined;

/**
 * Starts tracing once per process: ids are made and handed on always (W3C trace context), spans are kept and sent
 * only when `OTEL_EXPORTER_OTLP_ENDPOINT` (or its `_TRACES_` form) says where to.
 *
 * @param spanProcessors more receivers of spans; then spans are recorded, too.
 * @effect sets the process's OpenTelemetry globals; repeating it changes nothing.
 */
export async function startTelemetry(env: Environment, spanProcessors: SpanProcessor[] = []): Promise<void> {
  if (running !== undefined) return;
  const processors = [...spanProcessors, ...(await exporters(env))];
  const root = processors.length > 0 ? new AlwaysOnSampler() : new AlwaysOffSampler();
  running = new NodeTracerProvider({ sampler: new ParentBasedSampler({ root }), spanProcessors: processors });
  running.register({
    contextManager: new AsyncLocalStorageContextManager(),
    propagator: new W3CTraceContextPropagator(),
  });
}

/** Sends what spans are left; a process calls it last. */
export async function flushTelemetry(): Promise<void> {
  await running?.forceFlush().catch(() => undefined);
}

async function exporters(env: Environment): Promise<SpanProcessor[]> {
  if (!env['OTEL_EXPORTER_OTLP_ENDPOINT'] && !env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']) return [];
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
  return [new BatchSpanProcessor(new OTLPTraceExporter())];
}

/** Headers as they come: Node's HTTP headers, or a record of a message's. */
export type IncomingHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** What arrived: its name, its headers, and what kind of thing it is. */
export interface Arrival {
  readonly name: string;
  readonly headers: IncomingHeaders;
  readonly kind: 'request' | 'message';
  readonly correlationId?: string;
  readonly attributes?: Attributes;
}

/** The context of an arrival with its span, to be ended by whoever began it. */
export interface ArrivalScope {
  readonly span: Span;
  readonly context: Context;
  readonly correlationId: string;
}

/** Begins the span of something that arrived; what runs in its context carries its trace and correlation ids. */
export function beginArrival({ name, headers, kind, attributes, ...given }: Arrival): ArrivalScope {
  const id = acceptCorrelationId(given.correlationId ?? headerOf(headers, correlationHeader));
  const parent = withCorrelationId(callerContext(headers), id);
  const spanKind = kind === 'request' ? SpanKind.SERVER : SpanKind.CONSUMER;
  const span = tracer().startSpan(name, { kind: spanKind, attributes: attributes ?? {} }, parent);
  return { span, context: trace.setSpan(parent, span), correlationId: id };
}

/** What a caller says of its trace; most say nothing, and then nothing is looked for. */
function callerContext(headers: IncomingHeaders): Context {
  for (const _name in headers) return propagation.extract(ROOT_CONTEXT, headers, headerGetter);
  return ROOT_CONTEXT;
}

/** Runs the handling of something that arrived inside its span. */
export async function withArrival<T>(arrival: Arrival, run: () => Promise<T>): Promise<T> {
  const { span, context: scope } = beginArrival(arrival);
  return await context.with(scope, () => endingSpan(span, run));
}

/** Runs a call to somebody else inside a span of its own. */
export async function withCall<T>(name: string, run: () => Promise<T>): Promise<T> {
  return await tracer().startActiveSpan(name, { kind: SpanKind.CLIENT }, (span) => endingSpan(span, run));
}

/**
 * The headers that whatever is sent from here carries: `traceparent` and the correlation id.
 *
 * Not for providers: what they are told of us is a matter of the provider's client.
 */
export function outgoingHeaders(): Record<string, string> {
  const headers: Record<string, string> = { [correlationHeader]: correlationId() };
  propagation.inject(context.active(), headers);
  return headers;
}

/** Only the code is told: a message may quote what no trace may hold. */
export function failSpan(span: Span, error: unknown): void {
  const code = isPosternError(error) ? error.code : 'service.internal';
  span.setAttribute('error.type', code);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

async function endingSpan<T>(span: Span, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    failSpan(span, error);
    throw error;
  } finally {
    span.end();
  }
}

function tracer() {
  return trace.getTracer(tracerName);
}

const headerGetter = {
  get: (headers: IncomingHeaders, key: string) => headerOf(headers, key),
  keys: (headers: IncomingHeaders) => Object.keys(headers),
};

function headerOf(headers: IncomingHeaders, name: string): string | undefined {
  const wanted = name.toLowerCase();
  const value = headers[wanted] ?? headers[keyLike(headers, wanted)];
  return Array.isArray(value) ? value[0] : value;
}

/** Node writes the names of HTTP's headers in small letters; on the bus they come as somebody wrote them. */
function keyLike(headers: IncomingHeaders, wanted: string): string {
  for (const name in headers) if (name.length === wanted.length && name.toLowerCase() === wanted) return name;
  return wanted;
}

/**
 * What a commit made here carries of its origin: `repository.execute(ref, decide, { actor, ...commitOrigin() })`.
 */
export function commitOrigin(): { readonly correlationId: string; readonly traceparent: string | undefined } {
  const carrier: Record<string, string> = {};
  propagation.inject(context.active(), carrier);
  return { correlationId: correlationId(), traceparent: carrier['traceparent'] };
}
