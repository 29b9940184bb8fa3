/**
 * Text to token ids and back, from a checkpoint's tokenizer.json. Encoding is `@huggingface/tokenizers`; decoding is our own table
 * (token-decoder.ts), because a stream needs one token at a time, also when it is half a character.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as Encoder } from '@huggingface/tokenizers';
import { StartupError } from '../core/errors.ts';
import { type LengthFacts, maxCharsPerToken } from './chars-per-token.ts';
import { Detokenizer } from './detokenizer.ts';
import { type DecoderConfig, TokenDecoder, type TokenPiece } from './token-decoder.ts';

interface TokenizerFile extends LengthFacts {
  readonly decoder?: DecoderConfig | null;
  readonly added_tokens?: readonly {
    readonly id: number;
    readonly content: string;
    readonly special?: boolean;
    readonly lstrip?: boolean;
    readonly rstrip?: boolean;
  }[];
}

interface TokenizerConfig {
  readonly bos_token?: string | { readonly content: string } | null;
  readonly eos_token?: string | { readonly content: string } | null;
  readonly tokenizer_class?: string;
  readonly add_bos_token?: boolean | null;
  readonly add_eos_token?: boolean | null;
}

export class Tokenizer {
  /** Ids run from 0 to vocabSize - 1; the model's embedding may have more rows, which stand for no text. */
  readonly vocabSize: number;
  readonly bosToken: string | null;
  readonly eosToken: string | null;
  readonly decoder: TokenDecoder;
  /** The most UTF-16 units of a text that one token can stand for; Infinity when this tokenizer may drop text. */
  readonly maxCharsPerToken: number;
  readonly #encoder: Encoder;
  readonly #config: TokenizerConfig;
  readonly #specialIds: ReadonlySet<number>;
  readonly #pieces: (TokenPiece | undefined)[] = [];

  /** @throws StartupError naming the file that is missing or damaged. */
  static load(modelDir: string): Tokenizer {
    const file = join(modelDir, 'tokenizer.json');
    const configFile = join(modelDir, 'tokenizer_config.json');
    const description = readJson(file) as TokenizerFile;
    const config = (readJson(configFile, {}) ?? {}) as TokenizerConfig;
    try {
      return new Tokenizer(description, config, file);
    } catch (error) {
      if (error instanceof StartupError) throw error;
      throw new StartupError(`${file}: not a usable tokenizer: ${firstLine(error)}`, { cause: error });
    }
  }

  /** `file` names the source in errors. */
  constructor(description: TokenizerFile, config: TokenizerConfig, file: string) {
    if (description?.model?.vocab === undefined)
      throw new StartupError(`${file}: not a usable tokenizer: it has no model with a vocabulary.`);
    this.decoder = new TokenDecoder(description.decoder ?? null, file);
    this.#encoder = new Encoder(description, config);
    this.#config = config;
    const added = description.added_tokens ?? [];
    this.#specialIds = new Set(added.filter((token) => token.special === true).map((token) => token.id));
    this.vocabSize = sizeOf(description);
    this.maxCharsPerToken = maxCharsPerToken(description);
    this.bosToken = tokenString(config.bos_token);
    this.eosToken = tokenString(config.eos_token);
  }

  /**
   * Names of special tokens in the text become those tokens, as in transformers.
   * @param options.addSpecialTokens also put what the checkpoint wants around a text, usually a beginning-of-sequence token; default false.
   */
  encode(text: string, options: { readonly addSpecialTokens?: boolean } = {}): number[] {
    if (options.addSpecialTokens !== true) return this.#encoder.encode(text, { add_special_tokens: false }).ids;
    return this.#withFlags(this.#encoder.encode(text, { add_special_tokens: true }).ids);
  }

  /** @param options.skipSpecialTokens leave special tokens out; default false. */
  decode(ids: readonly number[], options: { readonly skipSpecialTokens?: boolean } = {}): string {
    const detokenizer = new Detokenizer(this, { skipSpecialTokens: options.skipSpecialTokens === true });
    let text = '';
    for (const id of ids) text += detokenizer.push(id);
    return text + detokenizer.flush();
  }

  /** For display: the token alone, special tokens included; `bytes:\xe6\x8a` when it is not whole characters. */
  tokenText(id: number): string {
    const piece = this.piece(id);
    if (piece === undefined) return '';
    return piece.text ?? `bytes:${Array.from(piece.bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
  }

  /** The bytes that this token adds to a text, also when they are half a character; empty for unknown ids. */
  tokenBytes(id: number): Uint8Array {
    return this.piece(id)?.bytes ?? new Uint8Array(0);
  }

  isSpecial(id: number): boolean {
    return this.#specialIds.has(id);
  }

  /** By the token's exact spelling in the vocabulary, e.g. `<|im_end|>`. */
  idOf(token: string): number | undefined {
    return this.#encoder.token_to_id(token);
  }

  /** The token as the vocabulary spells it, e.g. `Ġworld`; empty for unknown ids. */
  spellingOf(id: number): string {
    return this.#encoder.id_to_token(id) ?? '';
  }

  /** What a token stands for; undefined for ids outside the vocabulary. Made at first use, then a lookup. */
  piece(id: number): TokenPiece | undefined {
    const known = this.#pieces[id];
    if (known !== undefined) return known;
    if (!(id >= 0 && id < this.vocabSize)) return undefined;
    const token = this.#encoder.id_to_token(id);
    if (token === undefined) return undefined;
    const piece = this.decoder.piece(token);
    this.#pieces[id] = piece;
    return piece;
  }

  /** In the classes that transformers builds from these flags, they decide over the file's post-processor; elsewhere they mean nothing. */
  #withFlags(ids: number[]): number[] {
    if (!FLAGGED_CLASSES.test(this.#config.tokenizer_class ?? '')) return ids;
    const bos = this.bosToken === null ? undefined : this.idOf(this.bosToken);
    const eos = this.eosToken === null ? undefined : this.idOf(this.eosToken);
    if (bos !== undefined && this.#config.add_bos_token === true && ids[0] !== bos) ids = [bos, ...ids];
    if (bos !== undefined && this.#config.add_bos_token === false && ids[0] === bos) ids = ids.slice(1);
    if (eos !== undefined && this.#config.add_eos_token === true && ids.at(-1) !== eos) ids = [...ids, eos];
    return ids;
  }
}

const FLAGGED_CLASSES = /^(?:CodeLlama|Cohere|Gemma|Llama)Tokenizer(?:Fast)?$/;

function sizeOf(description: TokenizerFile): number {
  const { vocab } = description.model;
  let size = Array.isArray(vocab) ? vocab.length : 0;
  if (!Array.isArray(vocab)) for (const id of Object.values(vocab)) size = Math.max(size, Number(id) + 1);
  for (const token of description.added_tokens ?? []) size = Math.max(size, token.id + 1);
  return size;
}

function tokenString(token: string | { readonly content: string } | null | undefined): string | null {
  return typeof token === 'string' ? token : (token?.content ?? null);
}

function readJson(file: string, fallback?: unknown): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (fallback !== undefined && (error as NodeJS.ErrnoException).code === 'ENOENT') return fallback;
    throw new StartupError(
      `${file}: cannot be read (${(error as NodeJS.ErrnoException).code ?? firstLine(error)}); a checkpoint needs it.`,
      {
        cause: error,
      },
    );
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new StartupError(`${file}: not valid JSON: ${firstLine(error)}`, { cause: error });
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!;
}
