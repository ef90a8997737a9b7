import {
  metricCatalog,
  prometheusLabel,
  prometheusName,
  secondsBuckets,
  type CounterName,
  type GaugeName,
  type HistogramName,
  type MetricName,
} from '@postern/contracts';

/** Attributes of one series. Keep their values few: never an id, never anything of a caller's own words. */
export type Labels = Readonly<Record<string, string>>;

/** One series and its number. */
export interface NumberPoint {
  readonly labels: Labels;
  readonly value: number;
}

/** One series of a histogram. */
export interface HistogramPoint {
  readonly labels: Labels;
  readonly bounds: readonly number[];
  /** How many fell into each bucket; the last is for what is above all bounds. */
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
}

/** All series of one metric, as they stand. */
export type MetricReading =
  | { readonly name: MetricName; readonly type: 'counter' | 'gauge'; readonly points: readonly NumberPoint[] }
  | { readonly name: MetricName; readonly type: 'histogram'; readonly points: readonly HistogramPoint[] };

interface Count {
  readonly labels: Labels;
  value: number;
}

/** A number that only grows. */
export class Counter {
  readonly #counts = new Map<string, Count>();

  add(by = 1, labels: Labels = {}): void {
    this.#countOf(labels).value += by;
  }

  /** The same with the labels given once: for what is counted with every request. */
  adder(labels: Labels): () => void {
    const count = this.#countOf(labels);
    return () => void (count.value += 1);
  }

  value(labels: Labels = {}): number {
    return this.#counts.get(labelText(labels))?.value ?? 0;
  }

  /** @internal */
  points(): NumberPoint[] {
    return [...this.#counts.values()];
  }

  #countOf(labels: Labels): Count {
    const key = labelText(labels);
    let count = this.#counts.get(key);
    if (count === undefined) this.#counts.set(key, (count = { labels, value: 0 }));
    return count;
  }
}

interface Series {
  readonly labels: Labels;
  readonly counts: number[];
  sum: number;
  count: number;
}

/** Times or sizes, counted in buckets whose upper bounds are given. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, Series>();

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
  }

  observe(value: number, labels: Labels = {}): void {
    this.#count(this.#seriesOf(labels), value);
  }

  /** The same with the labels given once: for what is observed with every request. */
  observer(labels: Labels): (value: number) => void {
    let series: Series | undefined;
    return (value) => this.#count((series ??= this.#seriesOf(labels)), value);
  }

  /** How often something was observed. */
  count(labels: Labels = {}): number {
    return this.#series.get(labelText(labels))?.count ?? 0;
  }

  /** @internal */
  points(): HistogramPoint[] {
    return [...this.#series.values()].map((series) => ({ ...series, bounds: this.#bounds }));
  }

  #seriesOf(labels: Labels): Series {
    const key = labelText(labels);
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { labels, counts: Array.from({ length: this.#bounds.length + 1 }, () => 0), sum: 0, count: 0 };
      this.#series.set(key, series);
    }
    return series;
  }

  #count(series: Series, value: number): void {
    series.sum += value;
    series.count += 1;
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] ?? 0)) bucket += 1;
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
  }
}

type Read = () => number | Iterable<readonly [Labels, number]>;

/** The numbers of one service, told at `/metrics` in Prometheus's text format and, where one listens, over OTLP. */
export class Metrics {
  readonly #counters = new Map<CounterName, Counter>();
  readonly #gauges = new Map<GaugeName, Read[]>();
  readonly #histograms = new Map<HistogramName, Histogram>();

  /** The same name gives the same counter. */
  counter(name: CounterName): Counter {
    return made(this.#counters, name, () => new Counter());
  }

  histogram(name: HistogramName): Histogram {
    return made(this.#histograms, name, () => new Histogram(metricCatalog[name].bounds ?? secondsBuckets));
  }

  /** A number, or one a series, that is asked for when it is told. Several may tell series of one gauge. */
  gauge(name: GaugeName, read: Read): void {
    made(this.#gauges, name, () => []).push(read);
  }

  /** All numbers as they stand now. */
  readings(): MetricReading[] {
    return [
      ...[...this.#counters].map(([name, counter]) => ({ name, type: 'counter', points: counter.points() }) as const),
      ...[...this.#gauges].map(([name, reads]) => ({ name, type: 'gauge', points: reads.flatMap(pointsOf) }) as const),
      ...[...this.#histograms].map(
        ([name, histogram]) => ({ name, type: 'histogram', points: histogram.points() }) as const,
      ),
    ];
  }

  /** @source Prometheus text exposition format 0.0.4 */
  text(): string {
    const lines = this.readings().flatMap((reading) => {
      const name = prometheusName(reading.name);
      const series = reading.type === 'histogram' ? reading.points.flatMap((point) => bucketLines(name, point)) : [];
      const numbers = reading.type === 'histogram' ? [] : reading.points.map((point) => numberLine(name, point));
      return [
        `# HELP ${name} ${metricCatalog[reading.name].help}`,
        `# TYPE ${name} ${reading.type}`,
        ...numbers,
        ...series,
      ];
    });
    return `${lines.join('\n')}\n`;
  }
}

function made<K, V>(known: Map<K, V>, key: K, make: () => V): V {
  let value = known.get(key);
  if (value === undefined) known.set(key, (value = make()));
  return value;
}

function pointsOf(read: Read): NumberPoint[] {
  const told = read();
  return typeof told === 'number'
    ? [{ labels: {}, value: told }]
    : [...told].map(([labels, value]) => ({ labels, value }));
}

function numberLine(name: string, { labels, value }: NumberPoint): string {
  return `${name}${labelText(labels)} ${numberText(value)}`;
}

function bucketLines(name: string, { labels, bounds, counts, sum, count }: HistogramPoint): string[] {
  let below = 0;
  const buckets = bounds.map((bound, index) => {
    below += counts[index] ?? 0;
    return `${name}_bucket${labelText({ ...labels, le: String(bound) })} ${below}`;
  });
  const all = labelText(labels);
  return [
    ...buckets,
    `${name}_bucket${labelText({ ...labels, le: '+Inf' })} ${count}`,
    `${name}_sum${all} ${sum}`,
    `${name}_count${all} ${count}`,
  ];
}

function numberText(value: number): string {
  return value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  if (pairs.length === 0) return '';
  const escaped = (value: string) => value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
  return `{${pairs.map(([key, value]) => `${prometheusLabel(key)}="${escaped(value)}"`).join(',')}}`;
}
