/**
 * FastDeploy's flags that have no meaning here, so that its start scripts run unchanged: each is accepted with one warning.
 * The value says whether the flag takes an argument. Flags that troupe implements stand in config.ts.
 */
export const IGNORED_FLAGS: Readonly<Record<string, boolean>> = {
  // server
  'metrics-port': true,
  'controller-port': true,
  timeout: true,
  'enable-mm-output': false,
  'tokenizer-base-url': true,
  // model and loading
  'model-config-name': true,
  task: true,
  convert: true,
  'override-pooler-config': true,
  'model-impl': true,
  'load-choices': true,
  'dynamic-load-weight': false,
  'load-strategy': true,
  'rsync-config': true,
  'lm-head-fp32': false,
  'moe-gate-fp32': false,
  seed: true,
  'limit-mm-per-prompt': true,
  'mm-processor-kwargs': true,
  'max-encoder-cache': true,
  'max-processor-cache': true,
  'disable-chunked-mm-input': false,
  'enable-mm': false,
  'trust-remote-code': false,
  // parallelism
  'local-data-parallel-id': true,
  'enable-expert-parallel': false,
  'disable-custom-all-reduce': false,
  'use-internode-ll-two-stage': false,
  'disable-sequence-parallel-moe': false,
  'enable-chunked-moe': false,
  'chunked-moe-size': true,
  'enable-eplb': false,
  'eplb-config': true,
  'shutdown-comm-group-if-worker-idle': false,
  'engine-worker-queue-port': true,
  'cache-queue-port': true,
  // KV cache and batching
  'gpu-memory-utilization': true,
  'num-gpu-blocks-override': true,
  'kv-cache-ratio': true,
  'static-decode-blocks': true,
  'prealloc-dec-block-slot-num-threshold': true,
  'enable-output-caching': false,
  'swap-space': true,
  'kvcache-storage-backend': true,
  'write-policy': true,
  'max-num-partial-prefills': true,
  'max-long-partial-prefills': true,
  'long-prefill-token-threshold': true,
  'use-warmup': true,
  'graph-optimization-config': true,
  'plas-attention-config': true,
  'enable-overlap-schedule': false,
  // output
  'enable-entropy': false,
  'output-fallback': true,
  'output-fallback-plugin': true,
  'output-fallback-config': true,
  // scheduling and disaggregation
  'scheduler-name': true,
  'scheduler-ttl': true,
  'scheduler-host': true,
  'scheduler-port': true,
  'scheduler-db': true,
  'scheduler-password': true,
  'scheduler-topic': true,
  'scheduler-sync-period': true,
  'scheduler-load-shards-num': true,
  'scheduler-min-load-score': true,
  'scheduler-expire-period': true,
  'scheduler-release-load-expire-period': true,
  'scheduler-reader-parallel': true,
  'scheduler-writer-parallel': true,
  'scheduler-reader-batch-size': true,
  'scheduler-writer-batch-size': true,
  'splitwise-role': true,
  router: true,
  'cache-transfer-protocol': true,
  'pd-comm-port': true,
  'rdma-comm-ports': true,
  'innode-prefill-ports': true,
};

export interface UnavailableFlag {
  readonly hasValue: boolean;
  /** Values that ask for nothing: accepted with a warning. */
  readonly neutral?: readonly string[];
}

/** Flags that would change what clients get, and do not yet: ignoring them would serve something else than was asked for. */
export const UNAVAILABLE_FLAGS: Readonly<Record<string, UnavailableFlag>> = {
  tokenizer: { hasValue: true },
  revision: { hasValue: true, neutral: ['default', 'main'] },
  'logits-processors': { hasValue: true },
  'speculative-config': { hasValue: true, neutral: ['{}'] },
};
