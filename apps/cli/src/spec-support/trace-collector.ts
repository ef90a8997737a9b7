import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A span as OTLP carries it, as far as specs look at it. */
interface ToldSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly app: string;
  readonly attributes?: readonly { readonly key: string }[];
}

interface OtlpTraces {
  readonly resourceSpans?: readonly {
    readonly resource: { readonly attributes: readonly { key: string; value: { stringValue?: string } }[] };
    readonly scopeSpans: readonly { readonly spans: readonly Omit<ToldSpan, 'app'>[] }[];
  }[];
}

export interface TraceCollector {
  readonly url: string;
  /** Every byte that came. */
  received(): string;
  /** Which spans came of each trace, as `app: name`. */
  traces(): string[][];
  /** How it came to each span: the spans that caused it, the first one first, as `app: name`. */
  paths(): string[][];
  /** By what names spans are told of: theirs, and those of their attributes. */
  names(): { readonly spans: Set<string>; readonly attributes: Set<string> };
  /** The names of the metrics that came. */
  metrics(): Set<string>;
  close(): void;
}

/** A collector of traces and metrics that keeps every byte it is sent. */
export async function traceCollector(): Promise<TraceCollector> {
  const bodies: { path: string; text: string }[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      bodies.push({ path: request.url ?? '', text: Buffer.concat(chunks).toString('latin1') });
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const sentTo = (path: string) => bodies.filter((body) => body.path === path).map(({ text }) => text);
  const spans = () => sentTo('/v1/traces').flatMap((text) => spansIn(JSON.parse(text) as OtlpTraces));
  return {
    url: `http://127.0.0.1:${port}`,
    received: () => bodies.map(({ text }) => text).join('\n'),
    traces: () => byTrace(spans()),
    paths: () => pathsOf(spans()),
    names: () => ({
      spans: new Set(spans().map(({ name }) => name)),
      attributes: new Set(spans().flatMap(({ attributes = [] }) => attributes.map(({ key }) => key))),
    }),
    metrics: () => new Set(sentTo('/v1/metrics').flatMap((text) => text.match(/(?<="name":")[a-z][a-z_.]+/g) ?? [])),
    close: () => server.close(),
  };
}

function spansIn({ resourceSpans = [] }: OtlpTraces): ToldSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const name = resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue ?? 'nobody';
    return scopeSpans.flatMap(({ spans }) => spans.map((span) => ({ ...span, app: name.replace('postern-', '') })));
  });
}

function byTrace(spans: readonly ToldSpan[]): string[][] {
  const traces = Map.groupBy(spans, ({ traceId }) => traceId);
  return [...traces.values()].map((trace) => trace.map(({ app, name }) => `${app}: ${name}`));
}

function pathsOf(spans: readonly ToldSpan[]): string[][] {
  const known = new Map(spans.map((span) => [span.spanId, span]));
  return spans.map((span) => {
    const path: string[] = [];
    for (let one: ToldSpan | undefined = span; one !== undefined; one = known.get(one.parentSpanId ?? '')) {
      path.unshift(`${one.app}: ${one.name}`);
    }
    return path;
  });
}
