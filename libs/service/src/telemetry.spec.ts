import { context, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import { InMemorySpanExporter, SimpleSpanProcessor, type ReadableSpan } from '@opentelemetry/sdk-trace-node';
import { PosternError } from '@postern/contracts';
import { correlationHeader } from './request-context.ts';
import {
  annotate,
  beginArrival,
  commitOrigin,
  linkingHeaders,
  outgoingHeaders,
  startTelemetry,
  tellConsequence,
  withArrival,
  withCall,
} from './telemetry.ts';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const kept = `00-${traceId}-b7ad6b7169203331-01`;
const notKept = `00-${traceId}-b7ad6b7169203331-00`;
const keeper = new InMemorySpanExporter();
const spans = (): ReadableSpan[] => keeper.getFinishedSpans();
const arrival = (traceparent?: string) =>
  ({ name: 'arrival', kind: 'request', headers: traceparent === undefined ? {} : { traceparent } }) as const;

// Before it is started nothing is kept: this must come first.
test('without a collector a trace costs nothing, and a caller’s is handed on', async () => {
  await withArrival(arrival(), async () => {
    expect(trace.getActiveSpan()).toBeUndefined();
    expect(outgoingHeaders()).not.toHaveProperty('traceparent');
    expect(commitOrigin().traceparent).toBeUndefined();
    annotate(() => ({ asked: String(expect(true).toBe(false)) }));
  });
  expect(beginArrival(arrival()).span).toBe(beginArrival(arrival()).span);
});

describe('with a collector', () => {
  beforeAll(async () => {
    const env = { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' };
    await startTelemetry(env, { spanProcessors: [new SimpleSpanProcessor(keeper)] });
  });
  beforeEach(() => keeper.reset());

  test('what a caller keeps is kept here, with its calls and its consequences', async () => {
    let origin: string | undefined;
    await withArrival(arrival(kept), async () => {
      annotate(() => ({ 'postern.lease.outcome': 'granted' }));
      origin = commitOrigin().traceparent;
      await withCall('ask', async () => undefined, { attributes: { 'rpc.system': 'nats' } });
    });
    tellConsequence(origin, 'refused', { 'postern.log.position': 7 });
    const [ask, arrived, refused] = spans();
    expect(arrived).toMatchObject({ kind: SpanKind.SERVER, attributes: { 'postern.lease.outcome': 'granted' } });
    expect(ask).toMatchObject({ kind: SpanKind.CLIENT, parentSpanContext: { spanId: arrived?.spanContext().spanId } });
    expect(refused).toMatchObject({ name: 'refused', parentSpanContext: { spanId: arrived?.spanContext().spanId } });
    for (const span of spans()) expect(span.spanContext().traceId).toBe(traceId);
  });

  test('what a caller does not keep is not kept, and whoever is called next is told so', async () => {
    await withArrival(arrival(notKept), async () => {
      await withCall('ask', async () => undefined);
      expect(outgoingHeaders()['traceparent']).toMatch(new RegExp(`^00-${traceId}-.{16}-00$`));
    });
    expect(spans()).toEqual([]);
  });

  test('a trace that begins here and is not kept has one id for all who are called', async () => {
    const scope = beginArrival(arrival());
    const told = context.with(scope.context, () => [outgoingHeaders(), outgoingHeaders()]);
    expect(told[0]?.['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    expect(told[1]).toEqual(told[0]);
    expect(told[0]?.[correlationHeader]).toBe(scope.correlationId);
    expect(spans()).toEqual([]);
  });

  test('of an error only the code is told', async () => {
    const failing = async () => {
      throw new PosternError('lease.ttl_unavailable', 'a sentence with at-hunter2 in it');
    };
    await expect(withArrival(arrival(kept), () => withCall('ask', failing))).rejects.toMatchObject({
      code: 'lease.ttl_unavailable',
    });
    expect(spans()).toHaveLength(2);
    for (const span of spans()) {
      expect(span.attributes['error.type']).toBe('lease.ttl_unavailable');
      expect([span.events, span.status.message]).toEqual([[], undefined]);
    }
  });

  test('what a timer wakes is a trace of its own, linked to the one that set it', async () => {
    const headers = await withArrival(arrival(kept), async () => linkingHeaders());
    expect(headers).not.toHaveProperty('traceparent');
    const scope = beginArrival({ ...arrival(), headers: { ...headers, traceparent: kept } });
    scope.span.end();
    expect(spans().at(-1)?.links).toMatchObject([{ context: { traceId } }]);
    expect(await withArrival(arrival(notKept), async () => Object.keys(linkingHeaders()))).toEqual([correlationHeader]);
  });

  test.each([undefined, '', 'nonsense', notKept])(
    'a commit of the trace %p has no consequence to tell',
    (traceparent) => {
      context.with(ROOT_CONTEXT, () => tellConsequence(traceparent, 'refused', {}));
      expect(spans()).toEqual([]);
    },
  );
});
