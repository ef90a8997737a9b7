import { MetricBridge } from './metric-bridge.ts';
import { metricCatalog, prometheusName, type MetricName } from '@postern/contracts';
import { Metrics } from './metrics.ts';

function told(): Metrics {
  const metrics = new Metrics();
  const leases = metrics.counter('postern.lease.outcomes');
  leases.add(1, { outcome: 'granted' });
  leases.adder({ outcome: 'granted' })();
  leases.add(1, { outcome: 'a "quoted"\nword' });
  metrics.gauge('postern.feed.age', () => [[{ feed: 'connections' }, Infinity]]);
  metrics.gauge('postern.clock.skew', () => 12);
  const times = metrics.histogram('postern.revocation.to_refusal');
  for (const seconds of [0.05, 0.1, 40]) times.observe(seconds);
  return metrics;
}

test('numbers are told in the text format of Prometheus', () => {
  const text = told().text();
  expect(text.split('\n').slice(0, 4)).toEqual([
    '# HELP postern_lease_outcomes_total Requests for a lease, by what they came to and the code of a refusal',
    '# TYPE postern_lease_outcomes_total counter',
    'postern_lease_outcomes_total{outcome="granted"} 2',
    String.raw`postern_lease_outcomes_total{outcome="a \"quoted\"\nword"} 1`,
  ]);
  expect(text).toContain('postern_feed_age_seconds{feed="connections"} +Inf\n');
  expect(text).toContain('# TYPE postern_clock_skew_seconds gauge\npostern_clock_skew_seconds 12\n');
  expect(text).toContain('postern_revocation_to_refusal_seconds_bucket{le="0.05"} 1\n');
  expect(text).toContain('postern_revocation_to_refusal_seconds_bucket{le="30"} 2\n');
  expect(text).toContain('postern_revocation_to_refusal_seconds_bucket{le="+Inf"} 3\n');
  expect(text).toContain('postern_revocation_to_refusal_seconds_count 3\n');
});

test('the same numbers go over OTLP, under their own names, without what is no number', async () => {
  const { resourceMetrics, errors } = await new MetricBridge(told()).collect();
  expect(errors).toEqual([]);
  const [scope] = resourceMetrics.scopeMetrics;
  const named = new Map(scope?.metrics.map((metric) => [metric.descriptor.name, metric]));
  expect(named.get('postern.lease.outcomes')).toMatchObject({
    isMonotonic: true,
    dataPoints: [{ attributes: { 'postern.outcome': 'granted' }, value: 2 }, { value: 1 }],
  });
  expect(named.get('postern.feed.age')?.dataPoints).toEqual([]);
  expect(named.get('postern.clock.skew')).toMatchObject({ descriptor: { unit: 's' }, dataPoints: [{ value: 12 }] });
  const histogram = named.get('postern.revocation.to_refusal')?.dataPoints[0]?.value as {
    buckets: { boundaries: number[]; counts: number[] };
    count: number;
  };
  expect(histogram.count).toBe(3);
  expect(histogram.buckets.counts).toHaveLength(histogram.buckets.boundaries.length + 1);
  expect(histogram.buckets.counts.at(-1)).toBe(1);
});

test('one name is one counter', () => {
  const metrics = new Metrics();
  metrics.counter('postern.webhooks').add();
  metrics.counter('postern.webhooks').add();
  expect(metrics.counter('postern.webhooks').value()).toBe(2);
});

test('every metric has a name that Prometheus takes and that no other has', () => {
  const names = Object.keys(metricCatalog).map((name) => prometheusName(name as MetricName));
  for (const name of names) expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
  expect(new Set(names).size).toBe(names.length);
});

test('what is ours is called postern, all else by a name of the semantic conventions', () => {
  for (const name of Object.keys(metricCatalog)) expect(name).toMatch(/^(postern|http|messaging|db)\./);
});
