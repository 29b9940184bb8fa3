/** Chunks of a streamed chat completion. Every `delta.content` is a string, so that a loop which prints it never prints `None`. */
import type { TextDelta, Usage } from '../core/generation.ts';
import type { GenerationRun } from './generation-run.ts';
import { chatLogprobs } from './logprobs.ts';
import { type ChunkWriter, chunkUsage, type StreamUsageOptions, sseEvent } from './sse.ts';
import { usageReply } from './usage.ts';

export interface ChatStreamOptions {
  readonly usage: StreamUsageOptions | undefined;
  readonly returnTokenIds: boolean;
}

export class ChatStream implements ChunkWriter {
  readonly #run: GenerationRun;
  readonly #options: ChatStreamOptions;
  readonly #head: string;
  readonly #completionTokens: number[];
  #hasBegun = false;

  constructor(run: GenerationRun, options: ChatStreamOptions) {
    this.#run = run;
    this.#options = options;
    const facts = { id: run.id, object: 'chat.completion.chunk', created: run.created, model: run.model };
    this.#head = `${JSON.stringify(facts).slice(0, -1)},"choices":[`;
    this.#completionTokens = new Array<number>(run.numChoices).fill(0);
  }

  deltas(batch: readonly TextDelta[]): string {
    let events = this.#begin();
    for (const delta of batch) events += this.#delta(delta);
    return events;
  }

  end(usage: Usage): string {
    const begin = this.#begin();
    if (!this.#options.usage?.includeUsage) return begin;
    return begin + sseEvent(`${this.#head}],"usage":${JSON.stringify(usageReply(usage))}}`);
  }

  /** One role chunk per choice, when the first token of any has arrived. */
  #begin(): string {
    if (this.#hasBegun) return '';
    this.#hasBegun = true;
    let events = '';
    for (let choice = 0; choice < this.#run.numChoices; choice++) {
      const promptIds = this.#options.returnTokenIds ? JSON.stringify(this.#run.promptTokenIds(choice)) : 'null';
      const ids = `"prompt_token_ids":${promptIds},"completion_token_ids":null`;
      events += this.#chunk(choice, `"role":"assistant","content":"","reasoning_content":"",${ids}`, 'null', 'null');
    }
    return events;
  }

  /** The finish chunk's content is empty: text that came with the end goes into a chunk before it. */
  #delta(delta: TextDelta): string {
    this.#completionTokens[delta.choice] = (this.#completionTokens[delta.choice] ?? 0) + delta.tokenIds.length;
    const hasText = delta.text !== '' || delta.reasoning !== '';
    const hasIds = this.#options.returnTokenIds && delta.tokenIds.length > 0;
    const finish = delta.finishReason === null ? 'null' : `"${delta.finishReason}"`;
    if (!hasText) return hasIds || delta.logprobs?.length || delta.finishReason !== null ? this.#content(delta, finish) : '';
    const text = this.#content(delta, 'null');
    return delta.finishReason === null ? text : text + this.#content({ ...delta, ...NOTHING }, finish);
  }

  #content({ choice, text, reasoning, tokenIds, logprobs }: TextDelta, finish: string): string {
    const ids = this.#options.returnTokenIds && tokenIds.length > 0 ? JSON.stringify(tokenIds) : 'null';
    const fields = `"content":${JSON.stringify(text)},"reasoning_content":${JSON.stringify(reasoning)},"prompt_token_ids":null,"completion_token_ids":${ids}`;
    return this.#chunk(choice, fields, logprobs?.length ? JSON.stringify(chatLogprobs(logprobs)) : 'null', finish);
  }

  #chunk(choice: number, delta: string, logprobs: string, finish: string): string {
    const usage = chunkUsage(this.#options.usage, this.#run.promptTokenIds(choice).length, this.#completionTokens[choice] ?? 0);
    return sseEvent(`${this.#head}{"index":${choice},"delta":{${delta}},"logprobs":${logprobs},"finish_reason":${finish}}]${usage}}`);
  }
}

const NOTHING = { text: '', reasoning: '', tokenIds: [], logprobs: null };
