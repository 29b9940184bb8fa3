/** FastDeploy's and vLLM's names for our metrics, so that their dashboards keep working. A view costs nothing until it is scraped. */
import type { Metric, Registry } from 'prom-client';

interface Alias {
  readonly name: string;
  /** Our label → theirs. */
  readonly labels?: Readonly<Record<string, string>>;
}

const both = (name: string): [string, Alias][] => [
  [name, { name: `fastdeploy:${name}` }],
  [name, { name: `vllm:${name}` }],
];

/** Our name without prefix, and one other name for it. */
export const ALIASES: readonly (readonly [source: string, alias: Alias])[] = [
  ...both('num_requests_running'),
  ...both('num_requests_waiting'),
  ...both('time_to_first_token_seconds'),
  ...both('time_per_output_token_seconds'),
  ...both('e2e_request_latency_seconds'),
  ...both('request_queue_time_seconds'),
  ...both('request_prefill_time_seconds'),
  ...both('request_decode_time_seconds'),
  ...both('request_inference_time_seconds'),
  ...both('request_params_max_tokens'),
  ...both('request_prompt_tokens'),
  ...both('request_generation_tokens'),
  ...both('prompt_tokens_total'),
  ...both('generation_tokens_total'),
  ['time_per_output_token_seconds', { name: 'vllm:request_time_per_output_token_seconds' }],
  ['requests_received_total', { name: 'fastdeploy:requests_number_total' }],
  ['request_success_total', { name: 'fastdeploy:request_success_total' }],
  ['request_success_total', { name: 'vllm:request_success_total', labels: { finish_reason: 'finished_reason' } }],
  ['preemptions_total', { name: 'fastdeploy:request_preempted_total' }],
  ['preemptions_total', { name: 'vllm:num_preemptions_total' }],
  ['kv_cache_usage_ratio', { name: 'fastdeploy:gpu_cache_usage_perc' }],
  ['kv_cache_usage_ratio', { name: 'vllm:kv_cache_usage_perc' }],
  ['kv_cache_blocks', { name: 'fastdeploy:max_gpu_block_num' }],
  ['kv_cache_free_blocks', { name: 'fastdeploy:available_gpu_block_num' }],
  ['num_requests_running', { name: 'fastdeploy:batch_size' }],
  ['max_num_seqs', { name: 'fastdeploy:max_batch_size' }],
  ['request_params_n', { name: 'vllm:request_params_n' }],
  ['first_token_latency', { name: 'fastdeploy:first_token_latency' }],
  ['infer_latency', { name: 'fastdeploy:infer_latency' }],
  ['num_requests_waiting', { name: 'fastdeploy:num_requests_enqueued' }],
  ['kv_cache_free_blocks', { name: 'fastdeploy:free_gpu_block_num' }],
  ['kv_cache_free_ratio', { name: 'fastdeploy:available_gpu_resource' }],
  ['free_num_seqs', { name: 'fastdeploy:available_batch_size' }],
  ['prefix_cache_hit_ratio', { name: 'fastdeploy:hit_token_rate' }],
  ['prefix_cache_hit_ratio', { name: 'fastdeploy:gpu_hit_token_rate' }],
  ['prefix_cache_queries_total', { name: 'vllm:prefix_cache_queries_total' }],
  ['prefix_cache_hits_total', { name: 'vllm:prefix_cache_hits_total' }],
  ['prefix_cache_hits_total', { name: 'fastdeploy:prefix_cache_token_num_total' }],
];

interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly sharedLabels?: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** @param source our name without the `troupe:` prefix; it must be registered already. */
export function registerAlias(registry: Registry, source: string, { name, labels = {} }: Alias): void {
  const ours = `troupe:${source}`;
  const metric = registry.getSingleMetric(ours);
  if (!metric) throw new Error(`Metric alias ${name} names ${ours}, which does not exist.`);
  const rename = (from: Sample['labels']) =>
    Object.fromEntries(Object.entries(from).map(([label, value]) => [labels[label] ?? label, value]));
  const view = {
    name,
    reset: () => {},
    get: async () => {
      const { values, ...rest } = await metric.get();
      return {
        ...rest,
        name,
        values: (values as readonly Sample[]).map((sample) => ({
          ...sample,
          labels: rename(sample.labels),
          // Histograms name their samples: …_bucket, …_sum, …_count.
          ...(sample.metricName !== undefined && { metricName: name + sample.metricName.slice(ours.length) }),
        })),
      };
    },
  };
  // A registry needs of a metric only `name`, `reset` and `get`; the library's type names its own four classes.
  registry.registerMetric(view as unknown as Metric);
}
