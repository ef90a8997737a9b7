/** Labels of one series. Keep their values few: never an id, never anything of a caller's own words. */
export type Labels = Readonly<Record<string, string>>;

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly lines: () => string[];
}

/** A number that only grows. */
export class Counter {
  readonly #values = new Map<string, number>();

  add(by = 1, labels: Labels = {}): void {
    const key = labelText(labels);
    this.#values.set(key, (this.#values.get(key) ?? 0) + by);
  }

  value(labels: Labels = {}): number {
    return this.#values.get(labelText(labels)) ?? 0;
  }

  /** @internal */
  entries(): Iterable<[string, number]> {
    return this.#values;
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

  #seriesOf(labels: Labels): Series {
    const key = labelText(labels);
    const series = this.#series.get(key) ?? { labels, counts: this.#bounds.map(() => 0), sum: 0, count: 0 };
    this.#series.set(key, series);
    return series;
  }

  #count(series: Series, value: number): void {
    series.sum += value;
    series.count += 1;
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] ?? 0)) bucket += 1;
    if (bucket < this.#bounds.length) series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
  }

  /** @internal */
  lines(name: string): string[] {
    return [...this.#series.values()].flatMap(({ labels, counts, sum, count }) => {
      let below = 0;
      const buckets = counts.map((n, index) => {
        below += n;
        return `${name}_bucket${labelText({ ...labels, le: String(this.#bounds[index]) })} ${below}`;
      });
      const all = labelText(labels);
      return [
        ...buckets,
        `${name}_bucket${labelText({ ...labels, le: '+Inf' })} ${count}`,
        `${name}_sum${all} ${sum}`,
        `${name}_count${all} ${count}`,
      ];
    });
  }
}

/** Seconds, from half a millisecond to what a caller would not wait for. */
export const secondsBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The numbers of one service, told at `/metrics` in Prometheus's text format. */
export class Metrics {
  readonly #metrics = new Map<string, Metric>();

  /** @param name snake_case with its unit, ending in `_total`. The same name gives the same counter. */
  counter(name: string, help: string): Counter {
    return this.#once(
      name,
      () => new Counter(),
      (counter) => ({
        name,
        help,
        type: 'counter',
        lines: () => [...counter.entries()].map(([labels, value]) => `${name}${labels} ${value}`),
      }),
    );
  }

  /** A number, or one a series, that is asked for when it is told. */
  gauge(name: string, help: string, read: () => number | Iterable<readonly [Labels, number]>): void {
    const lines = () => {
      const told = read();
      const series = typeof told === 'number' ? [[{}, told] as const] : [...told];
      return series.map(([labels, value]) => `${name}${labelText(labels)} ${value}`);
    };
    this.#metrics.set(name, { name, help, type: 'gauge', lines });
  }

  histogram(name: string, help: string, bounds: readonly number[] = secondsBuckets): Histogram {
    return this.#once(
      name,
      () => new Histogram(bounds),
      (histogram) => ({
        name,
        help,
        type: 'histogram',
        lines: () => histogram.lines(name),
      }),
    );
  }

  /** @source Prometheus text exposition format 0.0.4 */
  text(): string {
    const lines = [...this.#metrics.values()].flatMap(({ name, help, type, lines }) => [
      `# HELP ${name} ${help.replace(/\n/g, ' ')}`,
      `# TYPE ${name} ${type}`,
      ...lines(),
    ]);
    return `${lines.join('\n')}\n`;
  }

  readonly #instruments = new Map<string, unknown>();

  #once<T>(name: string, make: () => T, describe: (made: T) => Metric): T {
    const known = this.#instruments.get(name);
    if (known !== undefined) return known as T;
    const made = make();
    this.#instruments.set(name, made);
    this.#metrics.set(name, describe(made));
    return made;
  }
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  if (pairs.length === 0) return '';
  const escaped = (value: string) => value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
  return `{${pairs.map(([key, value]) => `${key}="${escaped(value)}"`).join(',')}}`;
}
