import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { metricCatalog, prometheusLabel, prometheusName, type MetricName } from '@postern/contracts';
import { parser } from '@prometheus-io/lezer-promql';
import { parse } from 'yaml';

const root = join(import.meta.dirname, '../..');
const text = (path: string) => readFileSync(join(root, path), 'utf8');

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string; readonly runbook: string };
}
const rules = parse(text('deploy/prometheus/postern-alerts.yaml')) as { groups: { rules: Alert[] }[] };
const alerts = rules.groups.flatMap((group) => group.rules);

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}
const dashboard = JSON.parse(text('deploy/grafana/postern.json')) as { title: string; panels: Panel[] };
const queries = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }): [string, string] => [title, expr]),
);

/** Which labels each series of a metric at /metrics may have, by the names that Prometheus knows; its own are added. */
const series = new Map<string, Set<string>>();
for (const [name, { type, attributes = [] }] of Object.entries(metricCatalog)) {
  const labels = ['job', 'instance', ...attributes.map(prometheusLabel)];
  const prometheus = prometheusName(name as MetricName);
  if (type === 'histogram') {
    series.set(`${prometheus}_bucket`, new Set([...labels, 'le']));
    for (const suffix of ['_sum', '_count']) series.set(`${prometheus}${suffix}`, new Set(labels));
  } else series.set(prometheus, new Set(labels));
}

/** Prometheus tells this itself, of each target. */
series.set('up', new Set(['job', 'instance']));

/** What is wrong with a query: that it is none, or that it asks for what no service tells. */
function faultsOf(query: string): string[] {
  const faults: string[] = [];
  const metrics: string[] = [];
  const labels: string[] = [];
  parser.parse(query).iterate({
    enter({ type, name, from, to, node }) {
      if (type.isError) faults.push(`no PromQL at ${from}`);
      if (name === 'Identifier' && node.parent?.name === 'VectorSelector') metrics.push(query.slice(from, to));
      if (name === 'LabelName') labels.push(query.slice(from, to));
    },
  });
  if (metrics.length === 0) faults.push('it asks for no metric');
  for (const metric of metrics) if (!series.has(metric)) faults.push(`no service tells ${metric}`);
  const known = new Set(metrics.flatMap((metric) => [...(series.get(metric) ?? [])]));
  for (const label of labels) if (!known.has(label)) faults.push(`none of it has the label ${label}`);
  return faults;
}

test.each([
  ['rate(postern_no_such_total[5m])', 'no service tells postern_no_such_total'],
  ['sum by (colour) (postern_signals_total)', 'none of it has the label colour'],
  ['rate(postern_signals_total[5m]', 'no PromQL at 30'],
  ['1 > 0', 'it asks for no metric'],
])('%s is found wrong', (query, fault) => {
  expect(faultsOf(query)).toContain(fault);
});

test.each(alerts.map(({ alert, expr }) => [alert, expr]))(
  'the alert %s asks for what services tell',
  (_alert, expr) => {
    expect(faultsOf(expr)).toEqual([]);
  },
);

test.each(queries)('the panel “%s” asks for what services tell', (_title, expr) => {
  expect(faultsOf(expr.replaceAll('$__rate_interval', '5m'))).toEqual([]);
});

test.each(alerts.map(({ alert, annotations }) => [alert, annotations]))(
  'the alert %s says what is wrong and has a runbook that speaks of it',
  (alert, { summary, runbook }) => {
    expect(summary).toMatch(/\.$/);
    expect(runbook).toMatch(/^docs\/runbooks\/[a-z-]+\.md$/);
    expect(existsSync(join(root, runbook))).toBe(true);
    expect(text(runbook)).toContain(`\`${alert}\``);
  },
);

test('what an operator must see has an alert and a panel', () => {
  const watched: readonly MetricName[] = [
    'postern.refresh.due_lag',
    'postern.refresh.outcomes',
    'postern.revocation.to_refusal',
    'postern.operation.duration',
    'postern.feed.age',
    'postern.audit.lag',
    'postern.audit.archive.overdue',
    'postern.signals',
    'postern.refresh.breakers',
    'postern.webhook.dead',
    'postern.checkpoint.drop.problems',
    'postern.witness.behind',
    'postern.audit.projection.behind',
    'postern.audit.projection.set_aside',
  ];
  for (const asked of [alerts.map(({ expr }) => expr), queries.map(([, expr]) => expr)]) {
    for (const name of watched) expect(asked.join('\n')).toContain(prometheusName(name));
  }
});
