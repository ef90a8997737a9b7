import { ValueType, type Attributes, type HrTime } from '@opentelemetry/api';
import { hrTime } from '@opentelemetry/core';
import { emptyResource } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  DataPointType,
  type CollectionResult,
  type DataPoint,
  type Histogram,
  type MetricData,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics';
import { metricCatalog } from '@postern/contracts';
import type { HistogramPoint, Labels, MetricReading, Metrics } from './metrics.ts';

/**
 * Tells OpenTelemetry's SDK the numbers that {@link Metrics} keeps.
 *
 * They are kept by ourselves since counting happens with every lease: one addition, where an instrument of the SDK hashes
 * its attributes each time (docs/adr/0033).
 */
export class MetricBridge implements MetricProducer {
  readonly #metrics: Metrics;
  readonly #startTime = hrTime();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  async collect(): Promise<CollectionResult> {
    const span: TimeSpan = { startTime: this.#startTime, endTime: hrTime() };
    const metrics = this.#metrics.readings().map((reading) => dataOf(reading, span));
    const scopeMetrics = [{ scope: { name: 'postern' }, metrics }];
    return { resourceMetrics: { resource: emptyResource(), scopeMetrics }, errors: [] };
  }
}

interface TimeSpan {
  readonly startTime: HrTime;
  readonly endTime: HrTime;
}

function dataOf(reading: MetricReading, span: TimeSpan): MetricData {
  const { unit, help } = metricCatalog[reading.name];
  const descriptor = { name: reading.name, description: help, unit, valueType: ValueType.DOUBLE };
  const base = { descriptor, aggregationTemporality: AggregationTemporality.CUMULATIVE };
  if (reading.type === 'histogram') {
    const dataPoints = reading.points.map((point) => ({ ...span, ...histogramOf(point) }));
    return { ...base, dataPointType: DataPointType.HISTOGRAM, dataPoints };
  }
  const dataPoints: DataPoint<number>[] = reading.points
    .filter(({ value }) => Number.isFinite(value))
    .map(({ labels, value }) => ({ ...span, attributes: attributesOf(labels), value }));
  return reading.type === 'counter'
    ? { ...base, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
    : { ...base, dataPointType: DataPointType.GAUGE, dataPoints };
}

function histogramOf({ labels, bounds, counts, sum, count }: HistogramPoint): {
  attributes: Attributes;
  value: Histogram;
} {
  const value = { buckets: { boundaries: [...bounds], counts: [...counts] }, sum, count };
  return { attributes: attributesOf(labels), value };
}

/** An attribute of our own has our name before it. */
function attributesOf(labels: Labels): Attributes {
  return Object.fromEntries(
    Object.entries(labels).map(([key, value]) => [key.includes('.') ? key : `postern.${key}`, value]),
  );
}
