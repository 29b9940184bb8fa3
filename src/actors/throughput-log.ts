/** One line every ten seconds while the server is busy, over all engines, as vLLM prints it. */
import type { Clock } from '../core/clock.ts';
import type { EngineEntry } from './directory.ts';
import type { Log } from './log.ts';

type Counters = Readonly<Record<string, number>>;

export class ThroughputLog {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #before = new Map<string, Counters>();
  #at: number;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
    this.#at = clock.monotonic();
  }

  /** To be called every ten seconds. Says nothing when nothing was computed and nothing runs or waits. */
  report(engines: Iterable<EngineEntry>): void {
    const now = this.#clock.monotonic();
    const seconds = (now - this.#at) / 1000;
    this.#at = now;
    const sum = { prompt: 0, generation: 0, running: 0, waiting: 0, used: 0, blocks: 0, queries: 0, hits: 0 };
    for (const engine of engines) {
      const before = this.#before.get(engine.key) ?? {};
      const grown = (name: string): number => (engine.counters[name] ?? 0) - (before[name] ?? 0);
      sum.prompt += grown('prompt_tokens_total');
      sum.generation += grown('generation_tokens_total');
      sum.queries += grown('prefix_cache_queries_total');
      sum.hits += grown('prefix_cache_hits_total');
      sum.running += engine.load.numRunning;
      sum.waiting += engine.load.numWaiting;
      sum.used += engine.load.numUsedBlocks;
      sum.blocks += engine.load.numBlocks;
      for (const key of this.#before.keys()) if (key.startsWith(`${engine.id}.`) && key !== engine.key) this.#before.delete(key);
      this.#before.set(engine.key, engine.counters);
    }
    if (sum.prompt + sum.generation + sum.running + sum.waiting === 0) return;
    const rate = (tokens: number): string => (tokens / Math.max(seconds, 1e-3)).toFixed(1);
    const percent = (part: number, whole: number): string => (whole === 0 ? '0.0' : ((100 * part) / whole).toFixed(1));
    this.#log.info(
      {},
      `prompt ${rate(sum.prompt)} tok/s, generation ${rate(sum.generation)} tok/s, running ${sum.running}, waiting ${sum.waiting}, ` +
        `KV cache ${percent(sum.used, sum.blocks)} %, prefix hits ${percent(sum.hits, sum.queries)} %`,
    );
  }
}
