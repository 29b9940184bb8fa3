/** The figures that a list of measurements is summed up in. */

export interface Summary {
  readonly count: number;
  readonly mean: number;
  readonly median: number;
  /** Population standard deviation, as NumPy's `std`. */
  readonly std: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
}

/** All zero for an empty list. */
export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const mean = sorted.length === 0 ? 0 : sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  const variance = sorted.length === 0 ? 0 : sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / sorted.length;
  const at = (percent: number) => (sorted.length === 0 ? 0 : percentileOfSorted(sorted, percent));
  return { count: sorted.length, mean, median: at(50), std: Math.sqrt(variance), p50: at(50), p90: at(90), p95: at(95), p99: at(99) };
}

/** @throws RangeError for an empty list. */
export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/**
 * The value below which `percent` of the list lies, with linear interpolation between neighbours: NumPy's default, as vLLM reports.
 * @throws RangeError for an empty list or a percentage outside 0 … 100.
 */
export function percentile(values: readonly number[], percent: number): number {
  if (values.length === 0) throw new RangeError('An empty list has no percentiles.');
  if (!(percent >= 0 && percent <= 100)) throw new RangeError(`A percentage lies between 0 and 100, not at ${percent}.`);
  return percentileOfSorted(
    values.toSorted((a, b) => a - b),
    percent,
  );
}

function percentileOfSorted(sorted: readonly number[], percent: number): number {
  const rank = (percent / 100) * (sorted.length - 1);
  const below = Math.floor(rank);
  const low = sorted[below]!;
  const high = sorted[Math.ceil(rank)]!;
  return low + (high - low) * (rank - below);
}
