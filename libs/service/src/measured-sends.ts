import { streams } from '@postern/contracts';
import type { Bus } from '@postern/nats';
import type { Metrics } from './metrics.ts';
import { withCall } from './telemetry.ts';

/** @internal Measures every message that this service sends to a stream, and gives it a span in its trace. */
export function measureSends(bus: Bus, metrics: Metrics): void {
  const times = metrics.histogram('messaging.client.operation.duration');
  const observers = new Map<string, (seconds: number) => void>();
  const observe = (stream: string, outcome: string, seconds: number) => {
    const series = `${stream} ${outcome}`;
    let observer = observers.get(series);
    if (observer === undefined) {
      observer = times.observer({ 'messaging.destination.name': stream, outcome });
      observers.set(series, observer);
    }
    observer(seconds);
  };
  bus.aroundSend = async (stream, send) => {
    const startedMs = performance.now();
    let outcome = 'refused';
    try {
      // A group of records belongs to many leases, each of which has a span for the wait of its own.
      const sent = await (stream === streams.access.name ? send() : withCall(`send ${stream}`, send, spanOf(stream)));
      outcome = sent.kind;
      return sent;
    } finally {
      observe(stream, outcome, (performance.now() - startedMs) / 1_000);
    }
  };
}

const spans = new Map<string, ReturnType<typeof makeSpan>>();

function spanOf(stream: string): ReturnType<typeof makeSpan> {
  const span = spans.get(stream) ?? makeSpan(stream);
  spans.set(stream, span);
  return span;
}

/** @source OpenTelemetry semantic conventions, messaging spans */
function makeSpan(stream: string) {
  const attributes = {
    'messaging.system': 'nats',
    'messaging.operation.name': 'publish',
    'messaging.operation.type': 'send',
    'messaging.destination.name': stream,
  };
  return { kind: 'producer', attributes } as const;
}
