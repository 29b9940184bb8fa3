/** The online figures as a table and as JSON with the keys of `vllm bench serve --save-result`. */
import type { LatencyGoal, RunMetrics } from './request-metrics.ts';
import type { Summary } from './statistics.ts';
import { formatNumber, formatTable } from './table.ts';

export function printOnline(metrics: RunMetrics, goals: readonly LatencyGoal[]): void {
  const counts = [
    ['Requests completed / failed', `${metrics.completed} / ${metrics.failed}`],
    ['Duration (s)', formatNumber(metrics.durationSeconds)],
    ['Prompt tokens (from the prefix cache)', `${metrics.promptTokens} (${metrics.cachedTokens})`],
    ['Output tokens', String(metrics.outputTokens)],
    ['Requests per second', formatNumber(metrics.requestThroughput)],
    ['Output tokens per second', formatNumber(metrics.outputThroughput)],
    ['Output tokens per second, best second', formatNumber(metrics.peakOutputThroughput)],
    ['Prompt and output tokens per second', formatNumber(metrics.totalThroughput)],
    ['Requests under way within one second, at most', String(metrics.peakConcurrency)],
  ];
  if (metrics.requestGoodput !== null && metrics.tokenGoodput !== null) {
    const limits = goals.map((goal) => `${goal.metric} ≤ ${goal.limitMs} ms`).join(', ');
    counts.push([`Request goodput (${limits})`, formatNumber(metrics.requestGoodput)]);
    counts.push(['Token goodput', formatNumber(metrics.tokenGoodput)]);
  }
  const latencies: [string, Summary][] = [
    ['TTFT', metrics.ttftMs],
    ['TPOT (without the first token)', metrics.tpotMs],
    ['ITL', metrics.itlMs],
    ['E2EL', metrics.e2elMs],
    ['Longest gap of a request', metrics.maxGapMs],
    ['TTFT from the intended sending', metrics.intendedTtftMs],
    ['E2EL from the intended sending', metrics.intendedE2elMs],
  ];
  console.log(formatTable(['', 'value'], counts));
  console.log();
  console.log(
    formatTable(
      ['milliseconds', 'mean', 'p50', 'p90', 'p95', 'p99'],
      latencies.map(([name, { mean, p50, p90, p95, p99 }]) => [name, ...[mean, p50, p90, p95, p99].map(formatNumber)]),
    ),
  );
}

/** `flags` are recorded beside the figures. */
export function toVllmJson(metrics: RunMetrics, model: string, flags: Readonly<Record<string, unknown>>): object {
  return {
    model_id: model,
    num_prompts: flags['num-prompts'],
    request_rate: flags['request-rate'] === Number.POSITIVE_INFINITY ? 'inf' : flags['request-rate'],
    max_concurrency: flags['max-concurrency'] === Number.POSITIVE_INFINITY ? null : flags['max-concurrency'],
    endpoint: flags.endpoint,
    input_len: flags['input-len'],
    output_len: flags['output-len'],
    duration: metrics.durationSeconds,
    completed: metrics.completed,
    failed: metrics.failed,
    total_input_tokens: metrics.promptTokens,
    total_cached_tokens: metrics.cachedTokens,
    total_output_tokens: metrics.outputTokens,
    request_throughput: metrics.requestThroughput,
    request_goodput: metrics.requestGoodput,
    token_goodput: metrics.tokenGoodput,
    output_throughput: metrics.outputThroughput,
    total_token_throughput: metrics.totalThroughput,
    max_output_tokens_per_s: metrics.peakOutputThroughput,
    max_concurrent_requests: metrics.peakConcurrency,
    ...latencyKeys('ttft', metrics.ttftMs),
    ...latencyKeys('tpot', metrics.tpotMs),
    ...latencyKeys('itl', metrics.itlMs),
    ...latencyKeys('e2el', metrics.e2elMs),
    ...latencyKeys('max_gap', metrics.maxGapMs),
    ...latencyKeys('intended_ttft', metrics.intendedTtftMs),
    ...latencyKeys('intended_e2el', metrics.intendedE2elMs),
  };
}

function latencyKeys(name: string, summary: Summary): Record<string, number> {
  return {
    [`mean_${name}_ms`]: summary.mean,
    [`median_${name}_ms`]: summary.median,
    [`std_${name}_ms`]: summary.std,
    [`p50_${name}_ms`]: summary.p50,
    [`p90_${name}_ms`]: summary.p90,
    [`p95_${name}_ms`]: summary.p95,
    [`p99_${name}_ms`]: summary.p99,
  };
}
