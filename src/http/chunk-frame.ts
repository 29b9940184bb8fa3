/** What all chunks of one stream have in common: their head, written once, and the usage and metrics at their end. */
import type { Usage } from '../core/generation.ts';
import type { GenerationRun } from './generation-run.ts';
import { sseEvent } from './sse.ts';
import { usageReply } from './usage.ts';

export interface StreamUsageOptions {
  /** A last chunk with the usage, and `usage: null` in the others. */
  readonly includeUsage: boolean;
  /** The usage so far in every chunk. */
  readonly continuousUsageStats: boolean;
}

interface FrameOptions {
  readonly stream_options?: StreamUsageOptions | undefined;
  readonly collect_metrics: boolean;
}

export class ChunkFrame {
  readonly #run: GenerationRun;
  readonly #usage: StreamUsageOptions | undefined;
  readonly #hasMetrics: boolean;
  readonly #head: string;
  readonly #completionTokens: number[];

  /** @param object `chat.completion.chunk` or `text_completion`. */
  constructor(run: GenerationRun, object: string, options: FrameOptions) {
    this.#run = run;
    this.#usage = options.stream_options;
    this.#hasMetrics = options.collect_metrics;
    this.#head = `${JSON.stringify({ id: run.id, object, created: run.created, model: run.model }).slice(0, -1)},"choices":[`;
    this.#completionTokens = new Array<number>(run.numChoices).fill(0);
  }

  count(choice: number, numTokens: number): void {
    this.#completionTokens[choice] = (this.#completionTokens[choice] ?? 0) + numTokens;
  }

  /** One event with one choice. @param fields the choice's members after `index`, as JSON text. */
  chunk(choice: number, fields: string): string {
    const metrics = this.#hasMetrics ? `,"metrics":${JSON.stringify(metricsReply(this.#run))}` : '';
    return sseEvent(`${this.#head}{"index":${choice},${fields}}]${this.#usageSoFar(choice)}${metrics}}`);
  }

  /** The chunk without choices, with the usage of all prompts and choices; nothing unless it was asked for. */
  end(usage: Usage): string {
    return this.#usage?.includeUsage ? sseEvent(`${this.#head}],"usage":${JSON.stringify(usageReply(usage))}}`) : '';
  }

  #usageSoFar(choice: number): string {
    if (!this.#usage?.continuousUsageStats) return this.#usage?.includeUsage ? ',"usage":null' : '';
    const prompt = this.#run.promptTokenIds(choice).length;
    const completion = this.#completionTokens[choice] ?? 0;
    return `,"usage":{"prompt_tokens":${prompt},"completion_tokens":${completion},"total_tokens":${prompt + completion}}`;
  }
}

/** FastDeploy's names: moments as seconds since 1970, durations in seconds. */
function metricsReply(run: GenerationRun) {
  const { arrivedAt, startedAt, firstTokenAt, lastTokenAt } = run.times();
  const moment = (at: number | null) => (at === null ? null : run.unixSeconds(at));
  return {
    arrival_time: moment(arrivedAt),
    inference_start_time: moment(startedAt),
    engine_recv_first_token_time: moment(firstTokenAt),
    engine_recv_latest_token_time: moment(lastTokenAt),
    time_in_queue: (startedAt - arrivedAt) / 1000,
    first_token_time: firstTokenAt === null ? null : (firstTokenAt - startedAt) / 1000,
  };
}
