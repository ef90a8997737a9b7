/** What one metric is: its type and unit, the sentence that explains it, and what its series are told apart by. */
export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** `s`: seconds. `1`: a plain number. */
  readonly unit: 's' | '1';
  readonly help: string;
  /** Attributes; one without a dot is ours, and has `postern.` before it over OTLP. */
  readonly attributes?: readonly string[];
  /** Upper bounds of a histogram's buckets, {@link secondsBuckets} when absent. */
  readonly bounds?: readonly number[];
}

/** Seconds, from half a millisecond to what a caller would not wait for. */
export const secondsBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** Seconds: from in time to an outage's backlog. */
const lagBuckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600];

const rows = {
  'http.server.request.duration': {
    type: 'histogram',
    unit: 's',
    help: 'Time to answer an HTTP request',
    attributes: ['http.request.method', 'http.route', 'http.response.status_code'],
  },
  'messaging.process.duration': {
    type: 'histogram',
    unit: 's',
    help: 'Time to work off a message of a stream',
    attributes: ['messaging.consumer.group.name', 'messaging.destination.name'],
  },
  'messaging.client.operation.duration': {
    type: 'histogram',
    unit: 's',
    help: 'Time until a stream acknowledged a message, or did not',
    attributes: ['messaging.destination.name', 'outcome'],
  },
  'db.client.operation.duration': {
    type: 'histogram',
    unit: 's',
    help: 'Time of a transaction or query',
    attributes: ['db.operation.name'],
  },
  'postern.operation.duration': {
    type: 'histogram',
    unit: 's',
    help: 'Time to answer an operation of the bus; tokens.lease is the latency of a lease',
    attributes: ['operation'],
  },
  'postern.operation.errors': {
    type: 'counter',
    unit: '1',
    help: 'Operations of the bus that ended in an error',
    attributes: ['operation', 'code'],
  },
  'postern.work.errors': {
    type: 'counter',
    unit: '1',
    help: 'Messages whose handling failed',
    attributes: ['consumer', 'code'],
  },
  'postern.feed.age': {
    type: 'gauge',
    unit: 's',
    help: 'How long ago it was proved that a follower of the log had read it to its end',
    attributes: ['feed'],
  },
  'postern.log.problems': {
    type: 'counter',
    unit: '1',
    help: 'Messages on the log that are not folded',
    attributes: ['kind'],
  },
  'postern.stream.differences': {
    type: 'counter',
    unit: '1',
    help: 'Looks at the server and the streams that found them other than they must be',
  },
  'postern.clock.skew': { type: 'gauge', unit: 's', help: "nats-server's clock minus this service's" },
  'postern.lease.outcomes': {
    type: 'counter',
    unit: '1',
    help: 'Requests for a lease, by what they came to and the code of a refusal',
    attributes: ['outcome', 'code'],
  },
  'postern.lease.record.duration': {
    type: 'histogram',
    unit: 's',
    help: 'Time until the record of a lease was durable',
  },
  'postern.revocation.to_refusal': {
    type: 'histogram',
    unit: 's',
    help: 'From the commit that ends the right to lease a connection until a vault refuses it',
    bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
  'postern.vault.ciphertexts.unopened': {
    type: 'counter',
    unit: '1',
    help: 'Stored ciphertexts and data keys that did not open in their place',
    attributes: ['kind'],
  },
  'postern.refresh.due_lag': {
    type: 'histogram',
    unit: 's',
    help: 'From the planned time of a refresh to its claim',
    bounds: lagBuckets,
  },
  'postern.refresh.outcomes': {
    type: 'counter',
    unit: '1',
    help: 'What became of claims, by provider',
    attributes: ['provider', 'outcome'],
  },
  'postern.refresh.provider.duration': {
    type: 'histogram',
    unit: 's',
    help: 'Time of a token endpoint to answer',
    attributes: ['provider', 'outcome'],
  },
  'postern.refresh.put_back': {
    type: 'counter',
    unit: '1',
    help: 'Due messages that were put back, and why',
    attributes: ['why'],
  },
  'postern.refresh.seats.taken': { type: 'gauge', unit: '1', help: 'Due messages that are worked on' },
  'postern.refresh.places.taken': { type: 'gauge', unit: '1', help: 'Due messages that wait for a seat' },
  'postern.refresh.breakers': {
    type: 'gauge',
    unit: '1',
    help: 'Client registrations by the state of their circuit breaker: closed, open or half_open',
    attributes: ['provider', 'state'],
  },
  'postern.refresh.rejection_waves': {
    type: 'gauge',
    unit: '1',
    help: 'Client registrations whose refresh tokens are all called dead',
  },
  'postern.refresh.schedules.mended': {
    type: 'counter',
    unit: '1',
    help: 'Schedules that did not fit the log',
    attributes: ['fault'],
  },
  'postern.refresh.due': { type: 'gauge', unit: '1', help: 'Connections due when last surveyed' },
  'postern.refresh.late': { type: 'gauge', unit: '1', help: 'Connections due for a while when last surveyed' },
  'postern.webhooks': {
    type: 'counter',
    unit: '1',
    help: "Deliveries of providers' webhooks, by outcome",
    attributes: ['provider', 'outcome'],
  },
  'postern.security_events': {
    type: 'counter',
    unit: '1',
    help: 'Security event tokens, by outcome',
    attributes: ['outcome'],
  },
  'postern.signals': {
    type: 'counter',
    unit: '1',
    help: 'Signals that were weighed, by what they came to; unmatched ones name an account that no connection has',
    attributes: ['source', 'outcome'],
  },
  'postern.signal.decision.duration': {
    type: 'histogram',
    unit: 's',
    help: 'From the arrival of a signal that names somebody until it was decided',
    bounds: lagBuckets,
  },
  'postern.rejections': {
    type: 'counter',
    unit: '1',
    help: "Platforms' reports of refused tokens, by what they came to",
    attributes: ['provider', 'outcome'],
  },
  'postern.rejection_waves': {
    type: 'gauge',
    unit: '1',
    help: 'Client registrations whose access tokens are refused all at once',
  },
  'postern.inquiries': {
    type: 'counter',
    unit: '1',
    help: 'Questions to providers about suspected grants, by what came of them',
    attributes: ['provider', 'outcome'],
  },
  'postern.inspections': {
    type: 'counter',
    unit: '1',
    help: 'Questions to providers about grants that nobody suspects, by the answer',
    attributes: ['provider', 'outcome'],
  },
  'postern.inspection.overdue': {
    type: 'gauge',
    unit: 's',
    help: 'How long the question that is longest due has waited',
  },
  'postern.upstream_revocations': {
    type: 'counter',
    unit: '1',
    help: 'Attempts to tell a provider, by outcome',
    attributes: ['outcome'],
  },
  'postern.confirmation.duration': {
    type: 'histogram',
    unit: 's',
    help: 'From an append until no vault can miss it',
  },
  'postern.account_index.position': {
    type: 'gauge',
    unit: '1',
    help: 'How far the log was read for the index of accounts',
  },
  'postern.audit.findings': {
    type: 'counter',
    unit: '1',
    help: 'Messages of the log that are not as they must be',
    attributes: ['stream', 'kind'],
  },
  'postern.audit.checkpoint.findings': {
    type: 'counter',
    unit: '1',
    help: 'What keeps the log from being checkpointed',
    attributes: ['stream', 'kind'],
  },
  'postern.audit.checkpoint.size': {
    type: 'gauge',
    unit: '1',
    help: 'Up to which position a stream is checkpointed',
    attributes: ['stream'],
  },
  'postern.checkpoint.drop.problems': {
    type: 'counter',
    unit: '1',
    help: 'Checkpoints that were not dropped, since they contradict what was dropped before, or the files cannot be written',
  },
  'postern.witness.answers': {
    type: 'counter',
    unit: '1',
    help: 'Checkpoints shown to a witness, by what it made of them',
    attributes: ['witness', 'outcome'],
  },
  'postern.witness.behind': {
    type: 'gauge',
    unit: 's',
    help: 'For how long the newest checkpoint of a stream has waited for a witness; 0 when it has cosigned it',
    attributes: ['witness', 'stream'],
  },
  'postern.webhook.dead': {
    type: 'counter',
    unit: '1',
    help: 'Messages for webhooks that were given up after a day, or could not be sent in time; not those of one that left',
  },
  'postern.webhook.attempts': {
    type: 'counter',
    unit: '1',
    help: 'Messages sent to webhooks of tenants, by what came of it',
    attributes: ['outcome'],
  },
  'postern.audit.lag': {
    type: 'gauge',
    unit: 's',
    help: 'How long ago a stream was checkpointed to its end for the last time',
    attributes: ['stream'],
  },
  'postern.audit.archive.overdue': {
    type: 'gauge',
    unit: 's',
    help: 'For how long a stream has held what should have been archived and dropped',
    attributes: ['stream'],
  },
  'postern.audit.projection.set_aside': {
    type: 'counter',
    unit: '1',
    help: 'Messages of which a read model made no row',
    attributes: ['model', 'kind'],
  },
  'postern.audit.projection.behind': {
    type: 'gauge',
    unit: '1',
    help: 'Messages of its stream that a read model has not read',
    attributes: ['model'],
  },
} as const satisfies Record<string, MetricRow>;

/** The name of a metric, as OTLP carries it; Prometheus's form of it is {@link prometheusName}. */
export type MetricName = keyof typeof rows;
export type CounterName = { [N in MetricName]: (typeof rows)[N]['type'] extends 'counter' ? N : never }[MetricName];
export type GaugeName = { [N in MetricName]: (typeof rows)[N]['type'] extends 'gauge' ? N : never }[MetricName];
export type HistogramName = { [N in MetricName]: (typeof rows)[N]['type'] extends 'histogram' ? N : never }[MetricName];

/**
 * Every number that a service may tell. Dashboards, alert rules and docs/reference/metrics.md are checked against it, and
 * nothing else can be told, since a service's `Metrics` takes names from here alone.
 */
export const metricCatalog: Readonly<Record<MetricName, MetricRow>> = rows;

/**
 * The name under which Prometheus knows a metric: with its unit, and `_total` for what only grows.
 *
 * @source OpenTelemetry, Prometheus and OpenMetrics compatibility
 */
export function prometheusName(name: MetricName): string {
  const { type, unit } = metricCatalog[name];
  const unitSuffix = unit === 's' ? '_seconds' : '';
  return `${prometheusLabel(name)}${unitSuffix}${type === 'counter' ? '_total' : ''}`;
}

/** The name under which Prometheus knows an attribute. */
export function prometheusLabel(attribute: string): string {
  return attribute.replaceAll('.', '_');
}
