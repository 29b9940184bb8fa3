/** Chunks of a streamed chat completion. Every `delta.content` is a string, so that a loop which prints it never prints `None`. */
import type { TextDelta, Usage } from '../core/generation.ts';
import { ChunkFrame } from './chunk-frame.ts';
import type { GenerationRun } from './generation-run.ts';
import { chatLogprobs } from './logprobs.ts';
import type { ChatBody } from './openai-schema.ts';
import type { ChunkWriter } from './sse.ts';

export class ChatStream implements ChunkWriter {
  readonly #run: GenerationRun;
  readonly #returnTokenIds: boolean;
  readonly #frame: ChunkFrame;
  #hasBegun = false;

  constructor(run: GenerationRun, body: Pick<ChatBody, 'stream_options' | 'return_token_ids'>) {
    this.#run = run;
    this.#returnTokenIds = body.return_token_ids;
    this.#frame = new ChunkFrame(run, 'chat.completion.chunk', body.stream_options);
  }

  deltas(batch: readonly TextDelta[]): string {
    let events = this.#begin();
    for (const delta of batch) events += this.#delta(delta);
    return events;
  }

  end(usage: Usage): string {
    return this.#begin() + this.#frame.end(usage);
  }

  /** One role chunk per choice, when the first token of any has arrived. */
  #begin(): string {
    if (this.#hasBegun) return '';
    this.#hasBegun = true;
    let events = '';
    for (let choice = 0; choice < this.#run.numChoices; choice++) {
      const promptIds = this.#returnTokenIds ? JSON.stringify(this.#run.promptTokenIds(choice)) : 'null';
      const ids = `"prompt_token_ids":${promptIds},"completion_token_ids":null`;
      events += this.#chunk(choice, `"role":"assistant","content":"","reasoning_content":"",${ids}`, 'null', 'null');
    }
    return events;
  }

  /** The finish chunk's content is empty: text that came with the end goes into a chunk before it. */
  #delta(delta: TextDelta): string {
    this.#frame.count(delta.choice, delta.tokenIds.length);
    const hasText = delta.text !== '' || delta.reasoning !== '';
    const hasIds = this.#returnTokenIds && delta.tokenIds.length > 0;
    const finish = delta.finishReason === null ? 'null' : `"${delta.finishReason}"`;
    if (!hasText) return hasIds || delta.logprobs?.length || delta.finishReason !== null ? this.#content(delta, finish) : '';
    const text = this.#content(delta, 'null');
    return delta.finishReason === null ? text : text + this.#content({ ...delta, ...NOTHING }, finish);
  }

  #content({ choice, text, reasoning, tokenIds, logprobs }: TextDelta, finish: string): string {
    const ids = this.#returnTokenIds && tokenIds.length > 0 ? JSON.stringify(tokenIds) : 'null';
    const fields = `"content":${JSON.stringify(text)},"reasoning_content":${JSON.stringify(reasoning)},"prompt_token_ids":null,"completion_token_ids":${ids}`;
    return this.#chunk(choice, fields, logprobs?.length ? JSON.stringify(chatLogprobs(logprobs)) : 'null', finish);
  }

  #chunk(choice: number, delta: string, logprobs: string, finish: string): string {
    return this.#frame.chunk(choice, `"delta":{${delta}},"logprobs":${logprobs},"finish_reason":${finish}`);
  }
}

const NOTHING = { text: '', reasoning: '', tokenIds: [], logprobs: null };
