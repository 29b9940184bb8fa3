/**
 * The border between the HTTP edge and the actors: what a request asks for, and the text that comes back.
 * http/ sees only this; actors/frontend.ts implements TextGenerator.
 */
import type { SamplingParams } from './sampling-params.ts';

/**
 * `tool_calls`: it stopped, and called tools. `recover_stop`: its engine died and no other could continue it; the text so far stands.
 * `abort`: cancelled by the client or an operator. `error`: could not be finished; the error travels beside it.
 */
export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'recover_stop' | 'abort' | 'error';

/** A chat message as JSON; templates read any field, so unknown ones are kept. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

export type Prompt = {
  /** The request field that it came from, for messages: `messages`, `prompt`, `prompt[1]`, `prompt_token_ids`. */
  readonly param?: string;
} & (
  | {
      readonly type: 'text';
      readonly text: string /** Whether the tokenizer puts its own around it; true by default. */;
      readonly addSpecialTokens?: boolean;
    }
  | { readonly type: 'tokens'; readonly tokenIds: readonly number[] }
  | {
      readonly type: 'chat';
      readonly messages: readonly ChatMessage[];
      readonly tools?: readonly unknown[] | undefined;
      readonly addGenerationPrompt: boolean;
      readonly continueFinalMessage: boolean;
      /** Whether the tokenizer puts its own around the rendered text; false by default, since templates write them. */
      readonly addSpecialTokens?: boolean;
      /** Variables for the template: `enable_thinking` and whatever else the request names. */
      readonly templateKwargs: Readonly<Record<string, unknown>>;
      /** A Jinja template instead of the model's. */
      readonly chatTemplate?: string | undefined;
    }
);

/** What the output must match. */
export type ConstraintForm =
  | { readonly type: 'json_object' }
  /** A JSON schema: an object or a boolean. */
  | { readonly type: 'json_schema'; readonly schema: unknown }
  | { readonly type: 'regex'; readonly pattern: string }
  | { readonly type: 'choice'; readonly choices: readonly string[] }
  /** EBNF as XGrammar reads it; the rule `root` is the start. */
  | { readonly type: 'grammar'; readonly ebnf: string }
  /** `{format: …}`, or the older `{structures: [{begin, schema, end}], triggers}`. */
  | { readonly type: 'structural_tag'; readonly tag: unknown };

/** `param` is the request field that asked for it. */
export type ConstraintSpec = { readonly param: string } & ConstraintForm;

export interface ToolFunction {
  readonly name: string;
  /** JSON schema of the arguments; absent = no arguments. */
  readonly parameters?: unknown;
  /** The arguments must match `parameters`, also where the model calls the tool by its own will. */
  readonly strict?: boolean;
}

/** The tools that the model may call. Their text for the prompt travels in `Prompt`. */
export interface ToolUse {
  readonly functions: readonly ToolFunction[];
  readonly choice: 'auto' | 'required' | { readonly name: string };
  /** Whether one reply may have several calls. */
  readonly parallel: boolean;
}

/** What the request said; absent fields take the model's generation_config.json, then the neutral value. */
export interface GenerateRequest {
  readonly requestId: string;
  /** The API request that this is a part of, when that has several prompts: an operator ends them by this id too. */
  readonly batchId?: string | undefined;
  readonly prompt: Prompt;
  /** Number of independent choices. */
  readonly n: number;
  readonly sampling: Partial<
    Pick<
      SamplingParams,
      | 'temperature'
      | 'topK'
      | 'topP'
      | 'minP'
      | 'repetitionPenalty'
      | 'presencePenalty'
      | 'frequencyPenalty'
      | 'logitBias'
      | 'minTokens'
      | 'maxTokens'
      | 'logprobs'
      | 'logprobsMode'
      | 'promptLogprobs'
    >
  >;
  /** Absent = chosen by the frontend. 0 … 2^63 - 1. */
  readonly seed?: bigint | undefined;
  /** Matched on decoded text, across token borders. */
  readonly stop: readonly string[];
  readonly stopTokenIds: readonly number[];
  readonly includeStopStrInOutput: boolean;
  readonly ignoreEos: boolean;
  readonly skipSpecialTokens: boolean;
  readonly badWords: readonly string[];
  readonly badWordsTokenIds: readonly number[];
  /** Split reasoning from content with the model's parser (chat only). */
  readonly parseReasoning: boolean;
  /** Split tool calls from content with the model's parser; absent = no tools, nothing is searched. */
  readonly tools?: ToolUse | undefined;
  readonly constraint?: ConstraintSpec | undefined;
  /** Tokens of reasoning at most; then it is closed by force. Absent = no limit. */
  readonly reasoningMaxTokens?: number | undefined;
  /** Tokens after the reasoning at most. Absent = no limit but maxTokens. */
  readonly responseMaxTokens?: number | undefined;
  /** Already generated tokens that the prompt ends with (chat's `completion_token_ids`). */
  readonly continuationIds?: readonly number[] | undefined;
  /** Keep only the last so many prompt tokens; -1 = as many as the model takes. Absent = a prompt that is too long is refused. */
  readonly truncatePromptTokens?: number | undefined;
  /** The request ends with an error when it has not finished by then, counted from its arrival. */
  readonly timeoutMs?: number | undefined;
  /** Emit a delta for every step even when no text is complete yet, so that token ids arrive as they come. */
  readonly wantTokenIds: boolean;
  /** Smaller runs earlier; 0 by default. */
  readonly priority: number;
  /** Isolates the prefix cache: only equal salts share blocks. */
  readonly cacheSalt?: string | undefined;
}

export interface TopLogprob {
  readonly tokenId: number;
  /** The token's text, or `bytes:\xe6\x8a` when it is not whole characters: different tokens have different names. */
  readonly token: string;
  readonly bytes: readonly number[];
  readonly logprob: number;
}

export interface TokenLogprob extends TopLogprob {
  /** Where its text begins in the choice's decoded text, in Unicode characters. A token that adds none has the place of the next one. */
  readonly textOffset: number;
  /** The best alternatives by raw log-probability, best first. */
  readonly top: readonly TopLogprob[];
}

/** One token of the prompt: itself and the best alternatives at its place, with their ranks among the vocabulary (1 = best). */
export interface PromptTokenLogprob extends TopLogprob {
  readonly rank: number;
  /** Best first. */
  readonly top: readonly (TopLogprob & { readonly rank: number })[];
}

/** A piece of a tool call, as OpenAI streams it: `id` and `name` come once, with the first piece of a call. */
export interface ToolCallDelta {
  /** Of the call within its choice. */
  readonly index: number;
  readonly id?: string;
  readonly name?: string;
  /** To be appended to the call's arguments, which are JSON text in the end. */
  readonly arguments: string;
}

/**
 * A piece of one choice. `tokenIds` and `logprobs` cover everything generated since this choice's previous delta, so that text held
 * back (half a UTF-8 character, the start of a stop string) never loses its tokens.
 */
export interface TextDelta {
  readonly choice: number;
  readonly text: string;
  readonly reasoning: string;
  /** Absent when there are none. */
  readonly toolCalls?: readonly ToolCallDelta[];
  /** The decoded text before reasoning and tool calls were split off; only with `wantTokenIds`. */
  readonly rawText?: string;
  readonly tokenIds: readonly number[];
  readonly logprobs: readonly TokenLogprob[] | null;
  /** Set on the last delta of a choice. */
  readonly finishReason: FinishReason | null;
  /** The stop string that ended the choice; only beside its `finishReason`. */
  readonly stopString?: string;
}

export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
  readonly reasoningTokens: number;
}

/** One accepted request. Iterate `deltas` once; leaving the loop early or the signal given to `generate` aborts the work. */
export interface Generation {
  readonly promptTokenIds: readonly number[];
  /** The prompt as text: the rendered template, the text given, or the decoded ids. */
  promptText(): string;
  /** The prompt's tokens by name, as log-probabilities name them. */
  promptTokens(): readonly string[];
  /** One entry per prompt token, the first is null; complete with the first delta. Null unless `sampling.promptLogprobs` asked for them. */
  promptLogprobs(): readonly (PromptTokenLogprob | null)[] | null;
  /**
   * All deltas that waited since the last read, joined into one array. Ends after every choice has finished.
   * Throws a TroupeError when the request failed after it was accepted.
   */
  readonly deltas: AsyncIterable<readonly TextDelta[]>;
  /** Counts so far; final once `deltas` has ended. */
  usage(): Usage;
}

export type Readiness =
  | { readonly state: 'loading' | 'ready' }
  | { readonly state: 'draining' | 'failed' | 'recovering' | 'paused'; readonly reason: string };

/** What /v1/models and replies say about the model. */
export interface ModelCard {
  /** The names the API answers to; the first is the reply's `model`. */
  readonly names: readonly string[];
  /** Whether a request's `model` must be one of `names`. */
  readonly isNameChecked: boolean;
  readonly maxModelLen: number;
  readonly createdSeconds: number;
  readonly vocabSize: number;
  /** Length of the model's hidden states; embeddings have no more dimensions. */
  readonly hiddenSize?: number;
}

export interface TextGenerator {
  readonly model: ModelCard;
  readiness(): Readiness;
  /**
   * Resolves when an engine accepted the request.
   * @throws TroupeError: bad input, context length, overload, no engine, draining.
   */
  generate(request: GenerateRequest, signal: AbortSignal): Promise<Generation>;
}
