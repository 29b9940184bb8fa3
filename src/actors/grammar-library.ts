/**
 * XGrammar in one WebAssembly instance. Its promises are settled as soon as they are made; only `load` really waits. A bad grammar may
 * abort the instance, and a hostile one keep it busy for ever, so it lives in a thread of its own (grammar-worker.ts).
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type * as XGrammar from '@mlc-ai/web-xgrammar';
import type { Tokenizer } from '../text/tokenizer.ts';
import { markersIn, markerTexts } from './grammar-markers.ts';

export type GrammarTokenizer = Pick<Tokenizer, 'vocabSize' | 'tokenBytes' | 'tokenText' | 'isSpecial'>;

export interface GrammarLibraryOptions {
  readonly tokenizer: GrammarTokenizer;
  /** Rows of the logits. */
  readonly vocabSize: number;
  /** End-of-sequence ids: allowed where a text may end. */
  readonly endIds: readonly number[];
}

/** Node has them, and its types leave them to browsers'. */
interface WasmMemory {
  readonly buffer: ArrayBuffer;
}
interface WasmApi {
  readonly Memory: new () => WasmMemory;
  instantiate(...args: unknown[]): Promise<{ readonly instance: { readonly exports: Readonly<Record<string, unknown>> } }>;
}

/** The text is not a grammar for this library; the message is the compiler's. */
export class GrammarError extends Error {
  override readonly name = 'GrammarError';
  /** The instance is not to be used again: it aborted, or ran out of memory. */
  readonly isFatal: boolean;

  constructor(message: string, isFatal: boolean) {
    super(message);
    this.isFatal = isFatal;
  }
}

export class GrammarLibrary {
  readonly #xgrammar: typeof XGrammar;
  readonly #options: GrammarLibraryOptions;
  readonly #vocabulary: readonly string[];
  /** Names of the special tokens that end nothing. */
  readonly #specials = new Map<number, string>();
  /** By the special tokens that count as text, mostly none. */
  readonly #compilers = new Map<string, XGrammar.GrammarCompiler>();
  readonly #memory: () => WasmMemory | undefined;
  readonly #lastWords: string[];

  static async load(options: GrammarLibraryOptions): Promise<GrammarLibrary> {
    const { xgrammar, memory, lastWords } = instantiate();
    const library = new GrammarLibrary(xgrammar, options, memory, lastWords);
    await library.#compilerFor([]);
    return library;
  }

  private constructor(
    xgrammar: typeof XGrammar,
    options: GrammarLibraryOptions,
    memory: () => WasmMemory | undefined,
    lastWords: string[],
  ) {
    this.#xgrammar = xgrammar;
    this.#options = options;
    this.#vocabulary = spellVocabulary(options.tokenizer);
    for (let id = 0; id < options.tokenizer.vocabSize; id++) {
      if (options.tokenizer.isSpecial(id) && !options.endIds.includes(id)) this.#specials.set(id, options.tokenizer.tokenText(id));
    }
    this.#memory = memory;
    this.#lastWords = lastWords;
  }

  /** What the instance has taken from the system, in bytes; it never gives any back. */
  get numBytes(): number {
    return this.#memory()?.buffer.byteLength ?? 0;
  }

  /** @param tag a structural tag as JSON text. @throws GrammarError */
  async compile(tag: string): Promise<XGrammar.CompiledGrammar> {
    const compiler = await this.#compilerFor(markersIn(markerTexts(tag), this.#specials));
    return await this.#guard(() => compiler.compileStructuralTag(tag));
  }

  async #compilerFor(markers: readonly number[]): Promise<XGrammar.GrammarCompiler> {
    const known = this.#compilers.get(markers.join());
    if (known) return known;
    const { tokenizer, vocabSize, endIds } = this.#options;
    const vocabulary = this.#vocabulary.slice();
    for (const id of markers) vocabulary[id] = spellToken(tokenizer, id);
    const info = await this.#xgrammar.TokenizerInfo.createTokenizerInfo(vocabulary, 'byte_level', false, vocabSize, [...endIds]);
    // Its own cache has no bound; the cell keeps compiled grammars itself.
    const compiler = await this.#xgrammar.GrammarCompiler.createGrammarCompiler(info, false);
    this.#compilers.set(markers.join(), compiler);
    return compiler;
  }

  /** @throws GrammarError */
  async newMatcher(grammar: XGrammar.CompiledGrammar): Promise<XGrammar.GrammarMatcher> {
    return await this.#guard(() => this.#xgrammar.GrammarMatcher.createGrammarMatcher(grammar));
  }

  async #guard<T>(run: () => Promise<T>): Promise<T> {
    this.#lastWords.length = 0;
    try {
      return await run();
    } catch (error) {
      throw this.#explain(error);
    }
  }

  #explain(error: unknown): GrammarError {
    // A C++ exception arrives as its address, unwound; everything else left the instance as it was at that moment.
    if (typeof error === 'number') return new GrammarError(this.#messageAt(error) ?? 'The grammar cannot be compiled.', false);
    const fatal = this.#lastWords.map((line) => /^\[FATAL\] \S+?:\d+: (.*)$/s.exec(line)?.[1]).find((words) => words !== undefined);
    if (fatal !== undefined) return new GrammarError(fatal.trim(), true);
    return new GrammarError(`The grammar is too large or too deeply nested to be compiled (${firstLine(error)}).`, true);
  }

  /** `what()` of a std::runtime_error: its object is a table pointer and a pointer to the text. Null when that is not what is there. */
  #messageAt(address: number): string | null {
    const buffer = this.#memory()?.buffer;
    if (!buffer || address < 0 || address + 8 > buffer.byteLength) return null;
    const start = new DataView(buffer).getUint32(address + 4, true);
    const bytes = new Uint8Array(buffer, Math.min(start, buffer.byteLength));
    const end = bytes.subarray(0, MAX_MESSAGE_BYTES).indexOf(0);
    const text = end > 0 ? Buffer.from(bytes.subarray(0, end)).toString() : '';
    return /^[\x20-\x7e\s\u00a0-\uffff]{4,}$/.test(text) ? text : null;
  }
}

const MAX_MESSAGE_BYTES = 4096;

const firstLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!;

/**
 * A fresh instance. The package says it is a module and its file is CommonJS, so the file's text is run with what CommonJS would give it;
 * what the compiler prints before it aborts is its only message, and its memory is where exceptions keep theirs.
 */
function instantiate(): { xgrammar: typeof XGrammar; memory: () => WasmMemory | undefined; lastWords: string[] } {
  const require = createRequire(import.meta.url);
  const file = require.resolve('@mlc-ai/web-xgrammar');
  const exported = {};
  const lastWords: string[] = [];
  const listen = (...words: unknown[]): void => void lastWords.push(words.join(' '));
  let memory: WasmMemory | undefined;
  const { WebAssembly } = globalThis as unknown as { WebAssembly: WasmApi };
  const webAssembly = Object.create(WebAssembly, {
    instantiate: {
      value: async (...args: unknown[]) => {
        const result = await WebAssembly.instantiate(...args);
        memory = Object.values(result.instance.exports).find((value) => value instanceof WebAssembly.Memory);
        return result;
      },
    },
  }) as WasmApi;
  const run = new Function('exports', 'module', 'require', '__filename', 'console', 'WebAssembly', readFileSync(file, 'utf8'));
  run(exported, {}, require, file, { log: listen, warn: listen, error: listen }, webAssembly);
  return { xgrammar: exported as typeof XGrammar, memory: () => memory, lastWords };
}

/**
 * Every token as GPT-2 spells bytes, so that any tokenizer's tokens mean exactly their bytes. Special tokens stand for no text: an empty
 * spelling is how XGrammar is told never to allow one.
 */
export function spellVocabulary(tokenizer: GrammarTokenizer): string[] {
  return Array.from({ length: tokenizer.vocabSize }, (_, id) => (tokenizer.isSpecial(id) ? '' : spellToken(tokenizer, id)));
}

function spellToken(tokenizer: GrammarTokenizer, id: number): string {
  let spelling = '';
  for (const byte of tokenizer.tokenBytes(id)) spelling += BYTE_SPELLING[byte];
  return spelling;
}

/** Printable Latin-1 stands for itself; the other bytes, in order, are the characters from U+0100 on. */
const BYTE_SPELLING: readonly string[] = (() => {
  let next = 0x100;
  const isPrintable = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
})();
