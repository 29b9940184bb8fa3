/** Grammars without a server: whether a text matches one, and random texts that do. */
import { GrammarLibrary, type GrammarTokenizer } from '../../src/actors/grammar-library.ts';
import { testTokenizer } from './cluster.ts';
import type { Random } from './seeded-random.ts';
import { structuralTag } from './structural-tags.ts';

const END = 256;
const BYTES: GrammarTokenizer = {
  vocabSize: 257,
  tokenBytes: (id) => new Uint8Array(id === END ? [] : [id]),
  tokenText: (id) => (id === END ? '<end>' : `byte ${id}`),
  isSpecial: (id) => id === END,
};

const isSet = (mask: Int32Array, id: number): boolean => ((mask[id >> 5]! >>> (id & 31)) & 1) === 1;

/** One token per byte: says exactly what a grammar matches. */
export class TextLab {
  readonly #library: GrammarLibrary;

  private constructor(library: GrammarLibrary) {
    this.#library = library;
  }

  static async load(): Promise<TextLab> {
    return new TextLab(await GrammarLibrary.load({ tokenizer: BYTES, vocabSize: 257, endIds: [END] }));
  }

  /** Which of the texts match. */
  async matching(format: object, texts: readonly string[]): Promise<string[]> {
    const grammar = await this.#library.compile(structuralTag(format));
    const found: string[] = [];
    for (const text of texts) {
      const matcher = await this.#library.newMatcher(grammar);
      let isPossible = true;
      for (const byte of Buffer.from(text)) {
        isPossible = isSet(await matcher.getNextTokenBitmask(), byte) && matcher.acceptToken(byte);
        if (!isPossible) break;
      }
      if (isPossible && isSet(await matcher.getNextTokenBitmask(), END)) found.push(text);
      matcher.dispose();
    }
    grammar.dispose();
    return found;
  }
}

const VOCAB_SIZE = 4096;
const END_IDS = [2, 0];
/** After so many tokens the walk takes the way out where it sees one. */
const MAX_FREE_TOKENS = 60;
const MAX_TOKENS = 600;
const CLOSING = ['}', ']', '"'];

/** troupe-mini's tokens. */
export class WalkLab {
  readonly #library: GrammarLibrary;
  readonly #tokenizer = testTokenizer();
  readonly #bytes = Array.from({ length: VOCAB_SIZE }, (_, id) => Buffer.from(this.#tokenizer.tokenBytes(id)));

  private constructor(library: GrammarLibrary) {
    this.#library = library;
  }

  static async load(): Promise<WalkLab> {
    return new WalkLab(await GrammarLibrary.load({ tokenizer: testTokenizer(), vocabSize: VOCAB_SIZE, endIds: END_IDS }));
  }

  /** Random texts of random allowed tokens, as bytes; null where one did not end. @throws GrammarError */
  async walks(format: object, count: number, random: Random): Promise<(Buffer | null)[]> {
    const grammar = await this.#library.compile(structuralTag(format));
    const texts: (Buffer | null)[] = [];
    for (let walk = 0; walk < count; walk++) {
      const matcher = await this.#library.newMatcher(grammar);
      const pieces: Buffer[] = [];
      let isFinished = false;
      while (!isFinished && pieces.length < MAX_TOKENS) {
        const id = this.#choose(await matcher.getNextTokenBitmask(), pieces.length > MAX_FREE_TOKENS, random);
        if (!matcher.acceptToken(id)) throw new Error(`the mask allows token ${id}, the matcher does not`);
        isFinished = END_IDS.includes(id);
        if (!isFinished) pieces.push(this.#bytes[id]!);
      }
      texts.push(isFinished ? Buffer.concat(pieces) : null);
      matcher.dispose();
    }
    grammar.dispose();
    return texts;
  }

  #choose(mask: Int32Array, isLeaving: boolean, random: Random): number {
    const allowed: number[] = [];
    for (let id = 0; id < VOCAB_SIZE; id++) if (isSet(mask, id)) allowed.push(id);
    if (allowed.length === 0) throw new Error('the mask allows nothing');
    const ends = END_IDS.filter((id) => allowed.includes(id));
    if (ends.length > 0 && (isLeaving || random.below(4) === 0)) return ends[0]!;
    // Most tokens are words: without a preference for what closes something, strings would go on for ever.
    if (isLeaving || random.below(4) === 0) {
      // Within a string all three may be allowed, and only one ends it.
      const closers = allowed.filter((id) => CLOSING.includes(this.#bytes[id]!.toString()));
      if (closers.length > 0) return closers[random.below(closers.length)]!;
    }
    return allowed[random.below(allowed.length)]!;
  }
}
