/**
 * The server's Prometheus metrics: one registry per instance, one source per fact. FastDeploy's and vLLM's names are views of ours,
 * computed at scrape time (metric-aliases.ts). Actors and the HTTP edge hand in plain numbers.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { EngineLoad } from '../core/engine-load.ts';
import type { FinishReason } from '../core/generation.ts';
import type { FrontendSnapshot } from '../core/operations.ts';
import { mergeMetrics } from './merge-metrics.ts';
import { ALIASES, registerAlias } from './metric-aliases.ts';

/** One generation, told once when it is over. Durations in milliseconds. */
export interface RequestObservation {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** From its arrival until an engine accepted it; null = none did. */
  readonly queueMs: number | null;
  /** From its arrival to its first token; null = there was none. */
  readonly ttftMs: number | null;
  /** Mean time between tokens after the first; null with fewer than two. */
  readonly tpotMs: number | null;
  readonly e2eMs: number;
  readonly finishReason: FinishReason;
  /** Engines it was given to; above 1 it was continued. */
  readonly numAttempts: number;
  /** What it asked for. */
  readonly maxTokens: number;
  readonly numChoices: number;
}

export interface HttpObservation {
  readonly method: string;
  /** A path of the route table, or `other`. */
  readonly route: string;
  readonly status: number;
  /** Until the last byte of the reply was handed over. */
  readonly seconds: number;
}

export interface Metrics {
  /** A generation request reached the API, whatever becomes of it. */
  countReceived(): void;
  observeHttp(observation: HttpObservation): void;
  observeRequest(observation: RequestObservation): void;
  /** @param counters an engine's totals by metric name without prefix; they may start again from zero with a new engine process. */
  setEngineLoad(engineId: string, load: EngineLoad, counters: Readonly<Record<string, number>>): void;
  /** The engine is gone: its gauges go, what it counted stays. */
  removeEngine(engineId: string): void;
  /** Messages between processes that were refused. */
  countRefused(reason: 'stale_epoch' | 'unreadable'): void;
  /** Whether requests are kept away from an engine that keeps failing: 0 closed, 1 half open, 2 open. */
  setCircuit(engineId: string, state: 'closed' | 'halfOpen' | 'open'): void;
  /** Whether an operator paused the server. */
  setPaused(isPaused: boolean): void;
  /** A gap in an engine's token frames was asked for again. */
  countReplay(): void;
  readonly contentType: string;
  /** The exposition format that Prometheus scrapes. */
  text(others?: readonly FrontendSnapshot[]): Promise<string>;
  /** All values as JSON, for another frontend's `text`. */
  snapshot(): Promise<string>;
}

export interface MetricsOptions {
  /** Label `model_name` of every metric, which vLLM's dashboards filter on. */
  readonly modelName?: string;
  /** Label `frontend` of its own series where several frontends answer as one. */
  readonly frontend?: string;
  /** Memory, CPU, event loop and garbage collection of this process; true. */
  readonly processMetrics?: boolean;
}

/** FastDeploy's boundaries, then vLLM's tail: on a CPU a first token may take seconds. */
const TTFT_SECONDS = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560];
const TPOT_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];
const LATENCY_SECONDS = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];
const QUEUE_SECONDS = [0.001, 0.01, 0.1, ...LATENCY_SECONDS];
const TOKEN_COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000];
const NUM_CHOICES = [1, 2, 5, 10, 20];
const HTTP_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Engine totals that become counters; their names are those of the engine's report. */
const ENGINE_COUNTERS: Readonly<Record<string, string>> = {
  prompt_tokens_total: 'Prompt tokens taken in, cached ones included',
  generation_tokens_total: 'Tokens generated',
  prefix_cache_queries_total: 'Prompt tokens looked up in the prefix cache',
  prefix_cache_hits_total: 'Prompt tokens found in the prefix cache',
  preemptions_total: 'Sequences that gave up their KV cache to others and are computed again',
  engine_steps_total: 'Engine steps',
  collective_seconds_total: 'Seconds that rank 0 of a tensor-parallel engine spent in exchanges, waiting for other ranks included',
  collective_bytes_total: 'Bytes that rank 0 got from other ranks',
};

const freeShare = (load: EngineLoad): number => 1 - load.numUsedBlocks / Math.max(1, load.numBlocks);
const hitShare = (_: EngineLoad, counters: Readonly<Record<string, number>>): number =>
  (counters.prefix_cache_hits_total ?? 0) / Math.max(1, counters.prefix_cache_queries_total ?? 0);

export function createMetrics({ modelName, frontend = 'frontend-0', processMetrics = true }: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  if (modelName !== undefined) registry.setDefaultLabels({ model_name: modelName });
  if (processMetrics) collectDefaultMetrics({ register: registry });
  return new PrometheusMetrics(registry, frontend);
}

class PrometheusMetrics implements Metrics {
  readonly #registry: Registry;
  readonly #frontend: string;
  readonly #received;
  readonly #success;
  readonly #continued;
  readonly #ttft;
  readonly #tpot;
  readonly #e2e;
  readonly #queue;
  readonly #prefill;
  readonly #decode;
  readonly #inference;
  readonly #maxTokens;
  readonly #numChoices;
  readonly #latestTtft;
  readonly #latestTpot;
  readonly #promptTokens;
  readonly #generationTokens;
  readonly #engineGauges: readonly (readonly [Gauge, (load: EngineLoad, counters: Readonly<Record<string, number>>) => number])[];
  readonly #engineCounters = new Map<string, Counter>();
  /** Engine → its totals as last told. */
  readonly #lastCounters = new Map<string, Readonly<Record<string, number>>>();
  readonly #paused;
  readonly #circuit;
  readonly #refused;
  readonly #replays;
  readonly #httpRequests;
  readonly #httpSeconds;

  constructor(registry: Registry, frontend: string) {
    this.#registry = registry;
    this.#frontend = frontend;
    const registers = [registry];
    const counter = (name: string, help: string, labelNames: string[] = []) =>
      new Counter({ name: `troupe:${name}`, help, labelNames, registers });
    // `max`: every frontend knows these alike, from the engines' beats (merge-metrics.ts).
    const gauge = (name: string, help: string, labelNames: string[] = []) =>
      new Gauge({ name: `troupe:${name}`, help, labelNames, aggregator: 'max', registers });
    const engineCounter = (name: string, help: string) =>
      new Counter({ name: `troupe:${name}`, help, labelNames: ['engine'], aggregator: 'max', registers });
    const histogram = (name: string, help: string, buckets: number[]) =>
      new Histogram({ name: `troupe:${name}`, help, buckets, registers });

    this.#received = counter('requests_received_total', 'Generation requests received');
    this.#success = counter('request_success_total', 'Generations that ended, by reason', ['finish_reason']);
    this.#continued = counter('requests_continued_total', 'Times a generation went on at another engine');
    this.#ttft = histogram('time_to_first_token_seconds', 'From arrival to the first token', TTFT_SECONDS);
    this.#tpot = histogram('time_per_output_token_seconds', 'Mean time between the tokens of a request', TPOT_SECONDS);
    this.#e2e = histogram('e2e_request_latency_seconds', 'From arrival to the last token', LATENCY_SECONDS);
    this.#queue = histogram('request_queue_time_seconds', 'From arrival until an engine accepted the request', QUEUE_SECONDS);
    this.#prefill = histogram('request_prefill_time_seconds', 'From acceptance by an engine to the first token', QUEUE_SECONDS);
    this.#inference = histogram('request_inference_time_seconds', 'From acceptance by an engine to the last token', LATENCY_SECONDS);
    this.#maxTokens = histogram('request_params_max_tokens', 'max_tokens of a request', TOKEN_COUNTS);
    this.#numChoices = histogram('request_params_n', 'n of a request', NUM_CHOICES);
    this.#latestTtft = gauge('first_token_latency', 'Seconds from arrival to the first token, of the latest request');
    this.#latestTpot = gauge('infer_latency', 'Mean seconds between the tokens of the latest request');
    this.#decode = histogram('request_decode_time_seconds', 'From the first to the last token', LATENCY_SECONDS);
    this.#promptTokens = histogram('request_prompt_tokens', 'Prompt tokens of a request', TOKEN_COUNTS);
    this.#generationTokens = histogram('request_generation_tokens', 'Generated tokens of a request', TOKEN_COUNTS);

    this.#engineGauges = [
      [gauge('num_requests_running', 'Sequences in the running batch', ['engine']), (load) => load.numRunning],
      [gauge('num_requests_waiting', 'Sequences that wait for a place in the batch', ['engine']), (load) => load.numWaiting],
      [gauge('max_num_seqs', 'Places in the batch', ['engine']), (load) => load.maxNumSeqs],
      [
        gauge('kv_cache_usage_ratio', 'Used share of the KV cache, 0 to 1', ['engine']),
        (load) => load.numUsedBlocks / Math.max(1, load.numBlocks),
      ],
      [gauge('kv_cache_blocks', 'Blocks of the KV cache', ['engine']), (load) => load.numBlocks],
      [gauge('kv_cache_free_blocks', 'Blocks that no sequence uses', ['engine']), (load) => load.numBlocks - load.numUsedBlocks],
      [gauge('prefix_cache_blocks', 'Blocks whose content is kept for later requests', ['engine']), (load) => load.numCachedBlocks],
      [gauge('kv_cache_free_ratio', 'Share of the KV cache that no sequence uses, 0 to 1', ['engine']), freeShare],
      [gauge('free_num_seqs', 'Free places in the batch', ['engine']), (load) => Math.max(0, load.maxNumSeqs - load.numRunning)],
      [
        gauge('prefix_cache_hit_ratio', 'Share of the prompt tokens found in the prefix cache since the engine began', ['engine']),
        hitShare,
      ],
      [gauge('queued_prefill_tokens', 'Prompt tokens not yet computed', ['engine']), (load) => load.queuedPrefillTokens],
    ];
    for (const [name, help] of Object.entries(ENGINE_COUNTERS)) this.#engineCounters.set(name, engineCounter(name, help));

    this.#paused = gauge('paused', 'Whether an operator paused the server, 0 or 1');
    this.#paused.set(0);
    this.#circuit = gauge('engine_circuit_state', 'Requests are kept away from an engine that keeps failing: 0 no, 1 one may try, 2 yes', [
      'engine',
    ]);
    this.#refused = counter('refused_messages_total', 'Messages from an earlier start of a process, or unreadable ones', ['reason']);
    this.#replays = counter('frame_replays_total', 'Gaps in the token frames of an engine that were asked for again');
    const httpLabels = ['method', 'path', 'handler', 'status_code', 'status'];
    this.#httpRequests = new Counter({ name: 'http_requests_total', help: 'HTTP requests', labelNames: httpLabels, registers });
    this.#httpSeconds = new Histogram({
      name: 'http_request_duration_seconds',
      help: 'From the complete request to the end of the reply',
      labelNames: ['method', 'path', 'handler'],
      buckets: HTTP_SECONDS,
      registers,
    });
    for (const [source, alias] of ALIASES) registerAlias(registry, source, alias);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(others: readonly FrontendSnapshot[] = []): Promise<string> {
    if (others.length === 0) return this.#registry.metrics();
    return mergeMetrics([{ frontend: this.#frontend, json: await this.snapshot() }, ...others]);
  }

  async snapshot(): Promise<string> {
    return JSON.stringify(await this.#registry.getMetricsAsJSON());
  }

  countReceived(): void {
    this.#received.inc();
  }

  observeHttp({ method, route, status, seconds }: HttpObservation): void {
    this.#httpRequests.inc({ method, path: route, handler: route, status_code: status, status });
    this.#httpSeconds.observe({ method, path: route, handler: route }, seconds);
  }

  observeRequest(observation: RequestObservation): void {
    const { promptTokens, completionTokens, queueMs, ttftMs, tpotMs, e2eMs, finishReason, numAttempts, maxTokens, numChoices } =
      observation;
    this.#success.inc({ finish_reason: finishReason });
    this.#e2e.observe(e2eMs / 1000);
    this.#promptTokens.observe(promptTokens);
    this.#generationTokens.observe(completionTokens);
    if (numAttempts > 1) this.#continued.inc(numAttempts - 1);
    this.#maxTokens.observe(maxTokens);
    this.#numChoices.observe(numChoices);
    if (queueMs !== null) {
      this.#queue.observe(queueMs / 1000);
      this.#inference.observe((e2eMs - queueMs) / 1000);
    }
    if (tpotMs !== null) {
      this.#tpot.observe(tpotMs / 1000);
      this.#latestTpot.set(tpotMs / 1000);
    }
    if (ttftMs === null) return;
    this.#ttft.observe(ttftMs / 1000);
    this.#latestTtft.set(ttftMs / 1000);
    if (queueMs !== null) this.#prefill.observe((ttftMs - queueMs) / 1000);
    this.#decode.observe(Math.max(0, e2eMs - ttftMs) / 1000);
  }

  setEngineLoad(engine: string, load: EngineLoad, counters: Readonly<Record<string, number>>): void {
    for (const [gauge, read] of this.#engineGauges) gauge.set({ engine }, read(load, counters));
    const last = this.#lastCounters.get(engine) ?? {};
    for (const [name, counter] of this.#engineCounters) {
      const total = counters[name] ?? 0;
      const before = last[name] ?? 0;
      // A smaller total is a new engine process, which counts from zero.
      const grown = total < before ? total : total - before;
      // Zero counts too: a series that exists from the start has a rate from the first event on.
      counter.inc({ engine }, grown);
    }
    this.#lastCounters.set(engine, counters);
  }

  removeEngine(engine: string): void {
    for (const [gauge] of this.#engineGauges) gauge.remove({ engine });
  }

  setCircuit(engine: string, state: 'closed' | 'halfOpen' | 'open'): void {
    this.#circuit.set({ engine }, { closed: 0, halfOpen: 1, open: 2 }[state]);
  }

  setPaused(isPaused: boolean): void {
    this.#paused.set(isPaused ? 1 : 0);
  }

  countRefused(reason: 'stale_epoch' | 'unreadable'): void {
    this.#refused.inc({ reason });
  }

  countReplay(): void {
    this.#replays.inc();
  }
}
