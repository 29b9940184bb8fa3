/** Chunks of a streamed text completion. */
import type { TextDelta, Usage } from '../core/generation.ts';
import type { GenerationRun } from './generation-run.ts';
import { textLogprobs } from './logprobs.ts';
import { type ChunkWriter, chunkUsage, type StreamUsageOptions, sseEvent } from './sse.ts';
import { usageReply } from './usage.ts';

export interface CompletionStreamOptions {
  readonly usage: StreamUsageOptions | undefined;
  readonly returnTokenIds: boolean;
}

export class CompletionStream implements ChunkWriter {
  readonly #run: GenerationRun;
  readonly #options: CompletionStreamOptions;
  readonly #head: string;
  readonly #completionTokens: number[];
  #hasBegun = false;

  constructor(run: GenerationRun, options: CompletionStreamOptions) {
    this.#run = run;
    this.#options = options;
    const facts = { id: run.id, object: 'text_completion', created: run.created, model: run.model };
    this.#head = `${JSON.stringify(facts).slice(0, -1)},"choices":[`;
    this.#completionTokens = new Array<number>(run.numChoices).fill(0);
  }

  deltas(batch: readonly TextDelta[]): string {
    let events = this.#begin();
    for (const delta of batch) events += this.#delta(delta);
    return events;
  }

  /** One usage chunk for all prompts and choices together. */
  end(usage: Usage): string {
    if (!this.#options.usage?.includeUsage) return '';
    return sseEvent(`${this.#head}],"usage":${JSON.stringify(usageReply(usage))}}`);
  }

  /** With token ids: a first chunk per choice that tells the prompt's. */
  #begin(): string {
    if (this.#hasBegun || !this.#options.returnTokenIds) return '';
    this.#hasBegun = true;
    let events = '';
    for (let choice = 0; choice < this.#run.numChoices; choice++) {
      const promptIds = JSON.stringify(this.#run.promptTokenIds(choice));
      events += this.#chunk(choice, '', `"prompt_token_ids":${promptIds},"completion_token_ids":null`, 'null', 'null');
    }
    return events;
  }

  #delta({ choice, text, tokenIds, logprobs, finishReason }: TextDelta): string {
    this.#completionTokens[choice] = (this.#completionTokens[choice] ?? 0) + tokenIds.length;
    const hasIds = this.#options.returnTokenIds && tokenIds.length > 0;
    if (text === '' && !hasIds && !logprobs?.length && finishReason === null) return '';
    const ids = `"prompt_token_ids":null,"completion_token_ids":${hasIds ? JSON.stringify(tokenIds) : 'null'}`;
    const finish = finishReason === null ? 'null' : `"${finishReason}"`;
    return this.#chunk(choice, text, ids, logprobs?.length ? JSON.stringify(textLogprobs(logprobs)) : 'null', finish);
  }

  #chunk(choice: number, text: string, ids: string, logprobs: string, finish: string): string {
    const usage = chunkUsage(this.#options.usage, this.#run.promptTokenIds(choice).length, this.#completionTokens[choice] ?? 0);
    return sseEvent(
      `${this.#head}{"index":${choice},"text":${JSON.stringify(text)},${ids},"logprobs":${logprobs},"finish_reason":${finish}}]${usage}}`,
    );
  }
}
