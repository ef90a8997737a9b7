import {
  context,
  INVALID_SPAN_CONTEXT,
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
import { parseTraceParent, W3CTraceContextPropagator } from '@opentelemetry/core';
import { AlwaysOnSampler, NodeTracerProvider, type SpanProcessor } from '@opentelemetry/sdk-trace-node';
import { isPosternError } from '@postern/contracts';
import type { Environment } from './config.ts';
import { spanExporters, telemetryResource, type Teller } from './otlp.ts';
import {
  acceptCorrelationId,
  correlationHeader,
  correlationId,
  hasOrigin,
  unsampledTraceparent,
  withCorrelationId,
} from './request-context.ts';
import { ratioOf, Sampling } from './sampling.ts';

const tracerName = 'postern';
/** @internal A stopping service gives a collector so long to take what is left. */
export const flushMsMax = 2_000;
/** Carries the trace that a timer was set in: what happens months later is linked to it, not a part of it. */
const linkHeader = 'Postern-Trace-Link';

let started = false;
let running: NodeTracerProvider | undefined;
/** Undefined while no trace is kept at all: then nothing is made for it either. */
let sampling: Sampling | undefined;

/** Who tells, and more receivers of spans; with one of those spans are recorded, too. */
export interface TelemetryOptions extends Partial<Teller> {
  readonly spanProcessors?: readonly SpanProcessor[];
}

/**
 * Starts tracing once per process: a caller's ids are handed on always (W3C trace context), spans are made, kept and sent
 * only when `OTEL_EXPORTER_OTLP_ENDPOINT` (or its `_TRACES_` form) says where to. Of the traces that begin here
 * `OTEL_TRACES_SAMPLER` says how many, one in a hundred when it is silent.
 *
 * @effect sets the process's OpenTelemetry globals; repeating it changes nothing.
 * @throws {PosternError} `config.invalid` for a sampler that is none
 */
export async function startTelemetry(
  env: Environment,
  { spanProcessors = [], ...teller }: TelemetryOptions = {},
): Promise<void> {
  if (started) return;
  started = true;
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  const processors = [...spanProcessors, ...(await spanExporters(env))];
  const ratio = ratioOf(env);
  if (processors.length === 0) return;
  sampling = new Sampling(ratio);
  const resource = telemetryResource(env, teller);
  // What is not kept never comes so far, so whatever does is.
  running = new NodeTracerProvider({ resource, sampler: new AlwaysOnSampler(), spanProcessors: processors });
  trace.setGlobalTracerProvider(running);
}

/** Sends what spans are left; a process calls it last. A collector that hangs is not waited for. */
export async function flushTelemetry(): Promise<void> {
  const flushed = running?.forceFlush().catch(() => undefined);
  await atMost(flushMsMax, flushed);
}

/** @internal */
export async function atMost(ms: number, done: Promise<unknown> | undefined): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([done, late]);
  clearTimeout(timer);
}

/** Headers as they come: Node's HTTP headers, or a record of a message's. */
export type IncomingHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** What arrived: its name, its headers, and what kind of thing it is. */
export interface Arrival {
  readonly name: string;
  readonly headers: IncomingHeaders;
  readonly kind: 'request' | 'message';
  /** Accepted already; otherwise the headers' own counts, if it is acceptable. */
  readonly correlationId?: string;
  readonly attributes?: Attributes;
  /** Nobody wants to read of it, however many are kept. */
  readonly isNoise?: boolean;
}

/** The context of an arrival with its span, to be ended by whoever began it. */
export interface ArrivalScope {
  readonly span: Span;
  readonly context: Context;
  readonly correlationId: string;
}

/** What stands for the span of whatever is not kept; one for all, since it holds nothing. */
const silent: Span = trace.wrapSpanContext(INVALID_SPAN_CONTEXT);

/**
 * Begins the span of something that arrived; what runs in its context carries its trace and correlation ids.
 *
 * Whether the trace is kept is decided before a span is made: one that is not costs its correlation id and nothing else.
 */
export function beginArrival(arrival: Arrival): ArrivalScope {
  const { name, headers, kind, attributes, isNoise = false } = arrival;
  const id = arrival.correlationId ?? acceptCorrelationId(headerOf(headers, correlationHeader));
  const caller = callerContext(headers);
  const parent = withCorrelationId(caller, id);
  if (isNoise || sampling === undefined || !sampling.keeps(caller))
    return { span: silent, context: parent, correlationId: id };
  const spanKind = kind === 'request' ? SpanKind.SERVER : SpanKind.CONSUMER;
  const options = { kind: spanKind, attributes: attributes ?? {}, links: linksIn(headers) };
  const span = tracer().startSpan(name, options, parent);
  return { span, context: trace.setSpan(parent, span), correlationId: id };
}

/** What a caller says of its trace; most say nothing. */
function callerContext(headers: IncomingHeaders): Context {
  if (headerOf(headers, 'traceparent') === undefined) return ROOT_CONTEXT;
  return propagation.extract(ROOT_CONTEXT, headers, headerGetter);
}

function linksIn(headers: IncomingHeaders) {
  const linked = parseTraceParent(headerOf(headers, linkHeader) ?? '');
  return linked === null ? [] : [{ context: linked }];
}

/** Runs the handling of something that arrived inside its span. */
export async function withArrival<T>(arrival: Arrival, run: () => Promise<T>): Promise<T> {
  const { span, context: scope } = beginArrival(arrival);
  return await context.with(scope, () => endingSpan(span, run));
}

/** What a span tells beside its name and its times. */
export interface CallOptions {
  readonly kind?: 'client' | 'producer' | 'internal';
  readonly attributes?: Attributes;
}

const spanKinds = { client: SpanKind.CLIENT, producer: SpanKind.PRODUCER, internal: SpanKind.INTERNAL };

/** Runs a call to somebody else inside a span of its own, where the trace is kept. */
export function withCall<T>(
  name: string,
  run: () => Promise<T>,
  { kind = 'client', attributes }: CallOptions = {},
): Promise<T> {
  if (!isKept()) return run();
  const options = { kind: spanKinds[kind], attributes: attributes ?? {} };
  return tracer().startActiveSpan(name, options, (span) => endingSpan(span, run));
}

/** Tells more of the span that is running; `attributes` is asked only where it is kept. Never put a secret there. */
export function annotate(attributes: () => Attributes): void {
  if (sampling === undefined) return;
  const span = trace.getActiveSpan();
  if (span?.isRecording() === true) span.setAttributes(attributes());
}

/** Tells that something came of a commit, as a part of the trace that the commit was written in, if that one is kept. */
export function tellConsequence(traceparent: string | undefined, name: string, attributes: Attributes): void {
  if (sampling === undefined || traceparent === undefined) return;
  const parent = parseTraceParent(traceparent);
  if (parent === null) return;
  const scope = trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true });
  if (sampling.keeps(scope)) tracer().startSpan(name, { kind: SpanKind.CONSUMER, attributes }, scope).end();
}

/** Is what runs here a part of a kept trace, or does a kept one begin here, where nothing arrived? */
function isKept(): boolean {
  if (sampling === undefined) return false;
  const active = context.active();
  const span = trace.getSpan(active);
  if (span !== undefined) return span.isRecording();
  return !hasOrigin(active) && sampling.keeps(active);
}

/**
 * The headers that whatever is sent from here carries: `traceparent` and the correlation id.
 *
 * Not for providers: what they are told of us is a matter of the provider's client.
 */
export function outgoingHeaders(): Record<string, string> {
  const headers: Record<string, string> = { [correlationHeader]: correlationId() };
  const traceparent = currentTraceparent();
  if (traceparent !== undefined) headers['traceparent'] = traceparent;
  return headers;
}

/** The same for what comes of it much later, such as a timer: a trace of its own then, linked to this one. */
export function linkingHeaders(): Record<string, string> {
  const { traceparent, ...headers } = outgoingHeaders();
  return traceparent?.endsWith('-01') === true ? { ...headers, [linkHeader]: traceparent } : headers;
}

/** Only the code is told: a message may quote what no trace may hold. */
export function failSpan(span: Span, error: unknown): void {
  if (!span.isRecording()) return;
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
  return { correlationId: correlationId(), traceparent: currentTraceparent() };
}

function currentTraceparent(): string | undefined {
  const active = context.active();
  if (trace.getSpanContext(active) === undefined) {
    return sampling === undefined ? undefined : unsampledTraceparent(active);
  }
  const carrier: Record<string, string> = {};
  propagation.inject(active, carrier);
  return carrier['traceparent'];
}
