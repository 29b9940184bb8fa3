/** Tokenize and detokenize with the model's own text side, on the same path as a generation's prompt. */
import { TroupeError } from '../core/errors.ts';
import type { Prompt } from '../core/generation.ts';
import type { TextTools } from '../core/text-tools.ts';
import type { RequestTemplates } from '../text/chat-template.ts';
import { checkVocabulary, type ModelText, renderPrompt } from './prepare-request.ts';
import type { EncodePrompt } from './prompt-encoder.ts';

/** About 250,000 tokens: a second of the encoder thread, which long prompts wait for. Longer models take more. */
const MIN_TEXT_LIMIT = 2 ** 20;
const CHARS_PER_MODEL_TOKEN = 8;
/** Decoded at once on the thread that serves everyone. */
const MIN_TOKEN_LIMIT = 2 ** 18;

export interface ModelTextToolsOptions {
  readonly text: ModelText;
  readonly encode: EncodePrompt;
  readonly templates: RequestTemplates;
}

export class ModelTextTools implements TextTools {
  readonly #options: ModelTextToolsOptions;

  constructor(options: ModelTextToolsOptions) {
    this.#options = options;
  }

  async tokenize(prompt: Prompt, signal: AbortSignal): Promise<readonly number[]> {
    const { text: model, encode, templates } = this.#options;
    const rendered = renderPrompt(prompt, model, templates);
    if (rendered.type === 'tokens') return rendered.tokenIds;
    const limit = Math.max(MIN_TEXT_LIMIT, CHARS_PER_MODEL_TOKEN * model.maxModelLen);
    if (rendered.text.length > limit) throw tooMuch(`The text has ${rendered.text.length} characters`, limit, prompt.param ?? 'prompt');
    return await encode(rendered.text, { addSpecialTokens: rendered.addSpecialTokens }, signal);
  }

  detokenize(tokenIds: readonly number[]): string {
    const { text: model } = this.#options;
    const limit = Math.max(MIN_TOKEN_LIMIT, model.maxModelLen);
    if (tokenIds.length > limit) throw tooMuch(`There are ${tokenIds.length} tokens`, limit, 'tokens');
    checkVocabulary('tokens', tokenIds, model);
    return model.tokenizer.decode(tokenIds);
  }

  tokenNames(tokenIds: readonly number[]): readonly string[] {
    return tokenIds.map((id) => this.#options.text.tokenizer.spellingOf(id));
  }
}

const tooMuch = (what: string, limit: number, param: string): TroupeError =>
  new TroupeError('invalid_request', `${what}; at most ${limit} are taken at once.`, { param });
