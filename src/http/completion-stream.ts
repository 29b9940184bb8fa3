/** Chunks of a streamed text completion. */
import type { TextDelta, Usage } from '../core/generation.ts';
import { ChunkFrame } from './chunk-frame.ts';
import type { GenerationRun } from './generation-run.ts';
import { textLogprobs } from './logprobs.ts';
import type { CompletionBody } from './openai-schema.ts';
import type { ChunkWriter } from './sse.ts';

export class CompletionStream implements ChunkWriter {
  readonly #run: GenerationRun;
  readonly #returnTokenIds: boolean;
  readonly #frame: ChunkFrame;
  #hasBegun = false;

  constructor(run: GenerationRun, body: Pick<CompletionBody, 'stream_options' | 'return_token_ids'>) {
    this.#run = run;
    this.#returnTokenIds = body.return_token_ids;
    this.#frame = new ChunkFrame(run, 'text_completion', body.stream_options);
  }

  deltas(batch: readonly TextDelta[]): string {
    let events = this.#begin();
    for (const delta of batch) events += this.#delta(delta);
    return events;
  }

  end(usage: Usage): string {
    return this.#frame.end(usage);
  }

  /** With token ids: a first chunk per choice that tells the prompt's. */
  #begin(): string {
    if (this.#hasBegun || !this.#returnTokenIds) return '';
    this.#hasBegun = true;
    let events = '';
    for (let choice = 0; choice < this.#run.numChoices; choice++) {
      const promptIds = JSON.stringify(this.#run.promptTokenIds(choice));
      events += this.#chunk(choice, '', `"prompt_token_ids":${promptIds},"completion_token_ids":null`, 'null', 'null');
    }
    return events;
  }

  #delta({ choice, text, tokenIds, logprobs, finishReason }: TextDelta): string {
    this.#frame.count(choice, tokenIds.length);
    const hasIds = this.#returnTokenIds && tokenIds.length > 0;
    if (text === '' && !hasIds && !logprobs?.length && finishReason === null) return '';
    const ids = `"prompt_token_ids":null,"completion_token_ids":${hasIds ? JSON.stringify(tokenIds) : 'null'}`;
    const finish = finishReason === null ? 'null' : `"${finishReason}"`;
    return this.#chunk(choice, text, ids, logprobs?.length ? JSON.stringify(textLogprobs(logprobs)) : 'null', finish);
  }

  #chunk(choice: number, text: string, ids: string, logprobs: string, finish: string): string {
    return this.#frame.chunk(choice, `"text":${JSON.stringify(text)},${ids},"logprobs":${logprobs},"finish_reason":${finish}`);
  }
}
