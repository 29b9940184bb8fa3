/** From what a client asked to what an engine gets: the prompt rendered and encoded, every default filled in, every limit checked. */
import { TroupeError } from '../core/errors.ts';
import type { GenerateRequest, Prompt } from '../core/generation.ts';
import {
  GREEDY,
  type LogprobsKind,
  MAX_PROMPT_LOGPROBS,
  numPromptLogprobs,
  RAW_LOGPROBS,
  type SamplingParams,
  type ThinkingLimits,
} from '../core/sampling-params.ts';
import { badWordIds } from '../text/bad-words.ts';
import { type ChatTemplate, RequestTemplates } from '../text/chat-template.ts';
import { joinTextParts } from '../text/content-parts.ts';
import { type ModelParsers, modelParsers, modelTraits } from '../text/model-parsers.ts';
import type { ReasoningParserFactory } from '../text/reasoning/reasoning-parser.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { renderCalls } from '../text/tools/history.ts';
import type { ToolParser } from '../text/tools/tool-parser.ts';
import { ConstraintFormats } from './constraint-formats.ts';
import type { EarlyStopOptions } from './early-stop.ts';
import { outputConstraint } from './output-constraint.ts';
import { type EncodePrompt, PromptEncoder } from './prompt-encoder.ts';
import { endOfText, keptPromptTokens } from './prompt-length.ts';
import { thinkingLimits } from './thinking-limits.ts';
import { thinkingStart } from './thinking-start.ts';

/** The model's text side and its limits; loaded once, shared by all requests. */
export interface ModelText {
  readonly tokenizer: Tokenizer;
  /** Null = the checkpoint has none: chat requests are refused. */
  readonly chatTemplate: ChatTemplate | null;
  /** Longest prompt plus output. */
  readonly maxModelLen: number;
  /** Rows of the embedding: ids are 0 … vocabSize - 1. */
  readonly vocabSize: number;
  /** generation_config.json: what holds unless the request says otherwise. */
  readonly defaults: Partial<Pick<SamplingParams, 'temperature' | 'topK' | 'topP' | 'minP' | 'repetitionPenalty'>> & {
    readonly maxNewTokens?: number;
  };
  readonly eosTokenIds: readonly number[];
  /** What log-probabilities report (`--logprobs-mode`); raw_logprobs unless given. */
  readonly logprobsKind?: LogprobsKind;
  /** Ends texts that repeat themselves; absent = off. */
  readonly earlyStop?: EarlyStopOptions | undefined;
  /** Encodes long texts beside the event loop; absent = they are encoded like all others. */
  readonly longTexts?: { readonly encode: EncodePrompt };
  /** Makes what outputs must match beside the event loop where that takes long; absent = all of it is made here. */
  readonly formats?: ConstraintFormats;
  /** For reasoning and tool calls; absent = chosen by the model. */
  readonly parsers?: ModelParsers;
}

export interface PreparedRequest {
  readonly promptIds: readonly number[];
  /** Rendered, given, or decoded from the ids. */
  readonly promptText: () => string;
  readonly params: SamplingParams;
  /** The prompt as text, for a reasoning parser to see whether reasoning is already open; null without a parser. */
  readonly reasoning: { readonly newParser: ReasoningParserFactory; readonly renderedPrompt: string } | null;
  /** Null = tool calls are not searched. */
  readonly tools: { newParser(): ToolParser } | null;
  /** Special tokens that those parsers must see. */
  readonly shownTokenIds: ReadonlySet<number>;
}

export interface PrepareOptions {
  /** The frontend's, which shares the event loop's time among all requests; by default one without turns. */
  readonly encode?: EncodePrompt;
  /** The frontend's, which remembers those it has read. */
  readonly templates?: RequestTemplates;
  readonly signal?: AbortSignal;
}

/** @throws TroupeError invalid_request, context_length_exceeded; the signal's reason when it was aborted before the text was encoded. */
export async function prepareRequest(
  request: GenerateRequest,
  model: ModelText,
  { encode = new PromptEncoder(model).encode, templates = new RequestTemplates(model.chatTemplate), signal }: PrepareOptions = {},
): Promise<PreparedRequest> {
  const param = paramOf(request.prompt);
  const { continuationIds = [] } = request;
  const numKept = keptPromptTokens(request, model);
  const rendered = renderPrompt(request.prompt, model, templates);
  const ids =
    rendered.type === 'tokens'
      ? checkedIds(rendered.tokenIds, param, model, numKept !== null)
      : await encode(readableText(rendered.text, param, model, numKept), { addSpecialTokens: rendered.addSpecialTokens }, signal);
  checkVocabulary('completion_token_ids', continuationIds, model);
  const isCut = numKept !== null && ids.length > numKept;
  const promptIds = [...(isCut ? ids.slice(-numKept) : ids), ...continuationIds];
  if (promptIds.length === 0) throw new TroupeError('invalid_request', 'The prompt must contain at least one token.', { param });
  if (promptIds.length >= model.maxModelLen) throw tooLong(`${promptIds.length}`, param, model);
  const promptText = () =>
    rendered.type === 'tokens' || isCut ? model.tokenizer.decode(promptIds) : rendered.text + model.tokenizer.decode(continuationIds);
  const parsers = parsersOf(request, promptText, model);
  const constraint = request.tools || request.constraint ? await constraintOf(request, parsers, model, { templates, signal }) : null;
  const thinking = thinkingOf(request, promptText, constraint !== null || request.constraint !== undefined, model);
  const params = { ...toSamplingParams(request, model, promptIds.length), constraint, thinking };
  checkPromptLogprobs(params, promptIds.length, request.n, model);
  return { promptIds, promptText, params, ...parsers };
}

const paramOf = (prompt: Prompt): string => prompt.param ?? (prompt.type === 'chat' ? 'messages' : 'prompt');

function tooLong(numTokens: string, param: string, { maxModelLen }: ModelText): TroupeError {
  const message = `Input text is too long. This model's maximum context length is ${maxModelLen} tokens, but the prompt has ${numTokens}, which leaves no room for output. Please shorten the prompt.`;
  return new TroupeError('context_length_exceeded', message, { param });
}

/** A chat template writes the special tokens itself; a plain text gets those the tokenizer puts around it. */
export type RenderedPrompt =
  | { readonly type: 'tokens'; readonly tokenIds: readonly number[] }
  | { readonly type: 'text'; readonly text: string; readonly addSpecialTokens: boolean };

/** @throws TroupeError invalid_request: no chat template, or what a template complains about. */
export function renderPrompt(prompt: Prompt, model: ModelText, templates: RequestTemplates): RenderedPrompt {
  if (prompt.type === 'tokens') return prompt;
  if (prompt.type === 'text') return { type: 'text', text: prompt.text, addSpecialTokens: prompt.addSpecialTokens ?? true };
  const template = prompt.chatTemplate === undefined ? model.chatTemplate : templates.get(prompt.chatTemplate);
  if (!template) {
    throw new TroupeError('invalid_request', 'This model has no chat template: use /v1/completions with a plain prompt.', {
      param: 'messages',
    });
  }
  const { messages, tools, addGenerationPrompt, continueFinalMessage, templateKwargs } = prompt;
  const { bosToken, eosToken } = model.tokenizer;
  const input = { ...(tools && { tools }), addGenerationPrompt, continueFinalMessage, templateKwargs, bosToken, eosToken };
  const given = template.readsParts ? messages : messages.map(joinTextParts);
  const text = renderCalls(given, (readable) => template.render({ ...input, messages: readable }));
  return { type: 'text', text, addSpecialTokens: prompt.addSpecialTokens ?? false };
}

/** Known before seconds are spent on encoding: not even the longest tokens could hold so much text. */
function readableText(text: string, param: string, model: ModelText, numKept: number | null): string {
  if (numKept !== null) return endOfText(text, numKept, model.tokenizer.maxCharsPerToken);
  const numTokensAtLeast = Math.ceil(text.length / model.tokenizer.maxCharsPerToken);
  if (numTokensAtLeast < model.maxModelLen) return text;
  throw tooLong(`${text.length} characters, at least ${numTokensAtLeast} tokens`, param, model);
}

function checkedIds(ids: readonly number[], param: string, model: ModelText, mayBeCut: boolean): readonly number[] {
  if (!mayBeCut && ids.length >= model.maxModelLen) throw tooLong(`${ids.length}`, param, model);
  const wrong = ids.findIndex((id) => !isInVocabulary(id, model));
  if (wrong < 0) return ids;
  throw unknownId(`${param}[${wrong}]`, ids[wrong]!, model);
}

function toSamplingParams(request: GenerateRequest, model: ModelText, numPromptTokens: number): SamplingParams {
  const { sampling } = request;
  const { maxNewTokens, ...defaults } = model.defaults;
  const room = model.maxModelLen - numPromptTokens;
  const maxTokens = Math.min(sampling.maxTokens ?? maxNewTokens ?? room, room);
  const minTokens = sampling.minTokens ?? 0;
  if (sampling.maxTokens !== undefined && minTokens > sampling.maxTokens) {
    throw new TroupeError('invalid_request', `min_tokens (${minTokens}) must not be greater than max_tokens (${sampling.maxTokens}).`, {
      param: 'min_tokens',
    });
  }
  checkVocabulary('stop_token_ids', request.stopTokenIds, model);
  checkVocabulary('bad_words_token_ids', request.badWordsTokenIds, model);
  checkVocabulary('logit_bias', sampling.logitBias?.map(([id]) => id) ?? [], model);
  return {
    ...GREEDY,
    temperature: 1,
    ...defaults,
    ...defined(sampling),
    maxTokens,
    minTokens: Math.min(minTokens, maxTokens),
    logprobsMode: { ...RAW_LOGPROBS, ...sampling.logprobsMode, ...(model.logprobsKind && { kind: model.logprobsKind }) },
    badWords: [...badWordIds(model.tokenizer, request.badWords), ...request.badWordsTokenIds.map((id) => [id])],
    stopTokenIds: [...new Set([...(request.ignoreEos ? [] : model.eosTokenIds), ...request.stopTokenIds])],
  };
}

function checkPromptLogprobs({ promptLogprobs }: SamplingParams, numPromptTokens: number, n: number, { vocabSize }: ModelText): void {
  if (promptLogprobs === null) return;
  if (numPromptLogprobs(promptLogprobs, { numPromptTokens, numChoices: n, vocabSize }) <= MAX_PROMPT_LOGPROBS) return;
  const numEach = promptLogprobs < 0 ? vocabSize : promptLogprobs;
  const message = `prompt_logprobs of ${numPromptTokens} tokens with ${numEach} alternatives each${n > 1 ? `, told by ${n} choices,` : ''} are more than ${MAX_PROMPT_LOGPROBS} values: ask for fewer alternatives or choices, or send the prompt in parts.`;
  throw new TroupeError('invalid_request', message, { param: 'prompt_logprobs' });
}

/** @throws TroupeError invalid_request naming the first id that the model does not have. */
export function checkVocabulary(param: string, ids: readonly number[], model: ModelText): void {
  for (const id of ids) if (!isInVocabulary(id, model)) throw unknownId(param, id, model);
}

const isInVocabulary = (id: number, { vocabSize }: ModelText): boolean => Number.isInteger(id) && id >= 0 && id < vocabSize;

function unknownId(param: string, id: number, model: ModelText): TroupeError {
  return new TroupeError('invalid_request', `Token id ${id} is not in the vocabulary (0 to ${model.vocabSize - 1}).`, { param });
}

/** Without the fields that are present but undefined, which would hide a default. */
function defined<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function constraintOf(
  request: GenerateRequest,
  { reasoning }: RequestParsers,
  model: ModelText,
  { templates, signal }: { readonly templates: RequestTemplates; readonly signal: AbortSignal | undefined },
): Promise<string | null> {
  const { chatTemplate, formats = new ConstraintFormats(null) } = model;
  const thinking = () =>
    reasoning ? thinkingStart(request.prompt, reasoning, (prompt) => renderPrompt(prompt, model, templates)) : 'none';
  const options = { dialect: parsersOfModel(model).tools, templateSource: chatTemplate?.source ?? '', thinking };
  return formats.with((formatOf) => outputConstraint(request, { ...options, formatOf }), signal);
}

function thinkingOf(request: GenerateRequest, promptText: () => string, isConstrained: boolean, model: ModelText): ThinkingLimits | null {
  return thinkingLimits(request, parsersOfModel(model).reasoning, promptText, { tokenizer: model.tokenizer, isConstrained });
}

const parsersOfModel = ({ parsers, tokenizer, chatTemplate }: ModelText): ModelParsers =>
  parsers ?? modelParsers(modelTraits(tokenizer, chatTemplate));

type RequestParsers = Pick<PreparedRequest, 'reasoning' | 'tools' | 'shownTokenIds'>;

function parsersOf(request: GenerateRequest, promptText: () => string, model: ModelText): RequestParsers {
  const { tokenizer, chatTemplate } = model;
  const parsers = parsersOfModel(model);
  const toolUse = request.tools;
  const reasoning = request.parseReasoning && chatTemplate ? parsers.reasoning : null;
  const dialect = toolUse ? parsers.tools : null;
  const markers = [...(reasoning?.markers ?? []), ...(dialect?.markers ?? [])].map((marker) => tokenizer.idOf(marker));
  return {
    reasoning: reasoning && { newParser: reasoning.newParser, renderedPrompt: promptText() },
    tools: toolUse && dialect ? { newParser: () => dialect.newParser(toolUse) } : null,
    shownTokenIds: new Set(markers.filter((id) => id !== undefined)),
  };
}
