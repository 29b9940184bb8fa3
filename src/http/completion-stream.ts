/** Chunks of a streamed text completion. */
import type { TextDelta, Usage } from '../core/generation.ts';
import { ChunkFrame } from './chunk-frame.ts';
import type { GenerationRun } from './generation-run.ts';
import { promptLogprobsReply, type TokenNames, textLogprobs, tokenNamesOf } from './logprobs.ts';
import type { CompletionBody } from './openai-schema.ts';
import { NO_ECHO, promptEcho } from './prompt-echo.ts';
import type { ChunkWriter } from './sse.ts';

export class CompletionStream implements ChunkWriter {
  readonly #run: GenerationRun;
  readonly #body: CompletionBody;
  readonly #names: TokenNames;
  readonly #frame: ChunkFrame;
  /** Of the choices that have begun: characters of the echoed prompt. */
  readonly #begun = new Map<number, number>();

  constructor(run: GenerationRun, body: CompletionBody) {
    this.#run = run;
    this.#body = body;
    this.#names = tokenNamesOf(body);
    this.#frame = new ChunkFrame(run, 'text_completion', body);
  }

  deltas(batch: readonly TextDelta[]): string {
    let events = '';
    for (const delta of batch) events += this.#begin(delta.choice) + this.#delta(delta);
    return events;
  }

  end(usage: Usage): string {
    return this.#frame.end(usage);
  }

  /** A first chunk of the choice that tells what was asked for of its prompt: echo, token ids, log-probabilities. */
  #begin(choice: number): string {
    if (this.#begun.has(choice)) return '';
    const { echo, logprobs, prompt_logprobs, return_token_ids } = this.#body;
    const generation = this.#run.generationOf(choice);
    const told = echo ? promptEcho(generation, logprobs, this.#names) : NO_ECHO;
    this.#begun.set(choice, told.numChars);
    if (!echo && !return_token_ids && prompt_logprobs === undefined) return '';
    const ids = return_token_ids
      ? `"prompt_token_ids":${JSON.stringify(generation.promptTokenIds)},"completion_token_ids":null,"prompt_tokens":${JSON.stringify(generation.promptText())}`
      : NO_IDS;
    const prompt =
      prompt_logprobs === undefined
        ? ''
        : `,"prompt_logprobs":${JSON.stringify(promptLogprobsReply(generation.promptLogprobs(), prompt_logprobs, this.#names))}`;
    return this.#chunk(choice, told.text, ids, told.logprobs ? JSON.stringify(told.logprobs) : 'null', `null${prompt}`);
  }

  #delta({ choice, text, tokenIds, rawText = '', logprobs, finishReason }: TextDelta): string {
    this.#frame.count(choice, tokenIds.length);
    const hasIds = this.#body.return_token_ids && tokenIds.length > 0;
    if (text === '' && !hasIds && !logprobs?.length && finishReason === null) return '';
    const ids = hasIds
      ? `"prompt_token_ids":null,"completion_token_ids":${JSON.stringify(tokenIds)},"completion_tokens":${JSON.stringify(rawText)}`
      : NO_IDS;
    const finish = finishReason === null ? 'null' : `"${finishReason}"`;
    const hasLogprobs = this.#body.logprobs !== undefined && logprobs?.length;
    const entries = hasLogprobs ? JSON.stringify(textLogprobs(logprobs, this.#names, this.#begun.get(choice))) : 'null';
    return this.#chunk(choice, text, ids, entries, `${finish},"arrival_time":${this.#run.elapsedSeconds().toFixed(4)}`);
  }

  #chunk(choice: number, text: string, ids: string, logprobs: string, finish: string): string {
    return this.#frame.chunk(choice, `"text":${JSON.stringify(text)},${ids},"logprobs":${logprobs},"finish_reason":${finish}`);
  }
}

const NO_IDS = '"prompt_token_ids":null,"completion_token_ids":null';
