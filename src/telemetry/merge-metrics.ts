/**
 * One scrape for a server with several frontends. Each counts what it did itself, and all of them hear the same engines: a frontend's own
 * series get the label `frontend`, so that one that starts again is a reset of its series alone; what all of them know alike (aggregator
 * `max`: engines, a pause) is told once.
 */
import { type Metric, type MetricObjectWithValues, type MetricValue, Registry } from 'prom-client';
import type { FrontendSnapshot } from '../core/operations.ts';

type Samples = MetricObjectWithValues<MetricValue<string>>;

/** The exposition format of all snapshots (`Metrics.snapshot`) together. */
export function mergeMetrics(snapshots: readonly FrontendSnapshot[]): Promise<string> {
  const merged = new Map<string, Samples>();
  for (const { frontend, json } of snapshots) {
    for (const metric of JSON.parse(json) as Samples[]) {
      const known = merged.get(metric.name) ?? { ...metric, values: [] };
      merged.set(metric.name, known);
      known.values =
        metric.aggregator === 'max'
          ? highest([...known.values, ...metric.values])
          : [...known.values, ...metric.values.map((sample) => ({ ...sample, labels: { ...sample.labels, frontend } }))];
    }
  }
  const registry = new Registry();
  for (const metric of merged.values()) {
    // A registry needs of a metric only its name and `get`; the library's type names its own four classes.
    registry.registerMetric({ ...metric, reset: () => {}, get: async () => metric } as unknown as Metric);
  }
  return registry.metrics();
}

/** Totals only grow, so the highest is the latest; a frontend that started later knows less of an engine's past. */
function highest(samples: readonly MetricValue<string>[]): MetricValue<string>[] {
  const bySeries = new Map<string, MetricValue<string>>();
  for (const sample of samples) {
    const series = JSON.stringify(Object.entries(sample.labels).sort());
    const known = bySeries.get(series);
    if (!known || sample.value > known.value) bySeries.set(series, sample);
  }
  return [...bySeries.values()];
}
