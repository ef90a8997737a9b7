import { Metrics } from './metrics.ts';

test('numbers are told in the text format of Prometheus', () => {
  const metrics = new Metrics();
  const leases = metrics.counter('postern_leases_total', 'Leases');
  leases.add(1, { outcome: 'granted' });
  leases.add(2, { outcome: 'granted' });
  leases.add(1, { outcome: 'a "quoted"\nword' });
  metrics.gauge('postern_feed_age_ms', 'Age of the feed', () => 12);
  metrics.gauge('postern_open', 'Open by provider', () => [[{ provider: 'slack' }, 2]]);
  const times = metrics.histogram('postern_seconds', 'Time', [0.1, 1]);
  for (const seconds of [0.05, 0.1, 0.5, 3]) times.observe(seconds, { op: 'x' });
  expect(metrics.text()).toBe(
    [
      '# HELP postern_leases_total Leases',
      '# TYPE postern_leases_total counter',
      'postern_leases_total{outcome="granted"} 3',
      String.raw`postern_leases_total{outcome="a \"quoted\"\nword"} 1`,
      '# HELP postern_feed_age_ms Age of the feed',
      '# TYPE postern_feed_age_ms gauge',
      'postern_feed_age_ms 12',
      '# HELP postern_open Open by provider',
      '# TYPE postern_open gauge',
      'postern_open{provider="slack"} 2',
      '# HELP postern_seconds Time',
      '# TYPE postern_seconds histogram',
      'postern_seconds_bucket{le="0.1",op="x"} 2',
      'postern_seconds_bucket{le="1",op="x"} 3',
      'postern_seconds_bucket{le="+Inf",op="x"} 4',
      'postern_seconds_sum{op="x"} 3.65',
      'postern_seconds_count{op="x"} 4',
      '',
    ].join('\n'),
  );
});

test('one name is one counter', () => {
  const metrics = new Metrics();
  metrics.counter('a_total', 'A').add();
  metrics.counter('a_total', 'A').add();
  expect(metrics.counter('a_total', 'A').value()).toBe(2);
});
