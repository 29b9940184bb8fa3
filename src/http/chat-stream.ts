/** Chunks of a streamed chat completion. Every `delta.content` is a string, so that a loop which prints it never prints `None`. */
import type { TextDelta, Usage } from '../core/generation.ts';
import { echoedMessage } from './chat-request.ts';
import { ChunkFrame } from './chunk-frame.ts';
import type { GenerationRun } from './generation-run.ts';
import { chatLogprobs, promptLogprobsReply, type TokenNames, tokenNamesOf } from './logprobs.ts';
import type { ChatBody } from './openai-schema.ts';
import type { ChunkWriter } from './sse.ts';
import { toolCallChunk } from './tool-calls.ts';

export class ChatStream implements ChunkWriter {
  readonly #run: GenerationRun;
  readonly #body: ChatBody;
  readonly #names: TokenNames;
  readonly #frame: ChunkFrame;
  #hasBegun = false;

  constructor(run: GenerationRun, body: ChatBody) {
    this.#run = run;
    this.#body = body;
    this.#names = tokenNamesOf(body);
    this.#frame = new ChunkFrame(run, 'chat.completion.chunk', body);
  }

  deltas(batch: readonly TextDelta[]): string {
    let events = this.#begin();
    for (const delta of batch) events += this.#delta(delta);
    return events;
  }

  end(usage: Usage): string {
    return this.#begin() + this.#frame.end(usage);
  }

  /** One role chunk per choice, when the first token of any has arrived. What is told of the prompt stands here. */
  #begin(): string {
    if (this.#hasBegun) return '';
    this.#hasBegun = true;
    let events = '';
    const content = JSON.stringify(echoedMessage(this.#body));
    for (let choice = 0; choice < this.#run.numChoices; choice++) {
      const prompt = this.#run.generationOf(choice);
      const ids = this.#body.return_token_ids
        ? `"prompt_token_ids":${JSON.stringify(prompt.promptTokenIds)},"completion_token_ids":null,"prompt_tokens":${JSON.stringify(prompt.promptText())}`
        : '"prompt_token_ids":null,"completion_token_ids":null';
      const count = this.#body.prompt_logprobs;
      const entries =
        count === undefined ? '' : `,"prompt_logprobs":${JSON.stringify(promptLogprobsReply(prompt.promptLogprobs(), count, this.#names))}`;
      const delta = `"role":"assistant","content":${content},"reasoning_content":"",${ids}`;
      events += this.#frame.chunk(choice, `"delta":{${delta}},"logprobs":null,"finish_reason":null${entries}`);
    }
    return events;
  }

  /** The finish chunk's content is empty: what came with the end goes into a chunk before it. */
  #delta(delta: TextDelta): string {
    this.#frame.count(delta.choice, delta.tokenIds.length);
    const hasText = delta.text !== '' || delta.reasoning !== '' || delta.toolCalls !== undefined;
    const hasIds = this.#body.return_token_ids && delta.tokenIds.length > 0;
    const finish = delta.finishReason === null ? 'null' : `"${delta.finishReason}"`;
    if (!hasText) return hasIds || delta.logprobs?.length || delta.finishReason !== null ? this.#content(delta, finish) : '';
    const text = this.#content(delta, 'null');
    return delta.finishReason === null ? text : text + this.#content({ choice: delta.choice, ...NOTHING }, finish);
  }

  #content(delta: Omit<TextDelta, 'finishReason'>, finish: string): string {
    const { choice, text, reasoning, toolCalls, logprobs } = delta;
    const calls = toolCalls ? `,"tool_calls":${JSON.stringify(toolCalls.map(toolCallChunk))}` : '';
    const content = `"content":${JSON.stringify(text)},"reasoning_content":${JSON.stringify(reasoning)}${calls},${this.#ids(delta)}`;
    const entries = logprobs?.length ? JSON.stringify(chatLogprobs(logprobs, this.#names)) : 'null';
    const arrivalTime = this.#run.elapsedSeconds().toFixed(4);
    return this.#frame.chunk(choice, `"delta":{${content}},"logprobs":${entries},"finish_reason":${finish},"arrival_time":${arrivalTime}`);
  }

  #ids({ tokenIds, rawText = '' }: Pick<TextDelta, 'tokenIds' | 'rawText'>): string {
    if (!this.#body.return_token_ids || tokenIds.length === 0) return '"prompt_token_ids":null,"completion_token_ids":null';
    return `"prompt_token_ids":null,"completion_token_ids":${JSON.stringify(tokenIds)},"completion_tokens":${JSON.stringify(rawText)}`;
  }
}

const NOTHING = { text: '', reasoning: '', tokenIds: [], logprobs: null };
