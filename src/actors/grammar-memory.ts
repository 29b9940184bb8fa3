/**
 * What a rank and a grammar cell share of one choice: its tokens so far, the mask for the next one, and whose turn it is. The memory
 * belongs to one side at a time, so nothing in it needs a lock; handing it over is one atomic store and one wake.
 *
 *   CELL    the cell accepts the tokens that it has not seen and makes the next mask
 *   RANK    the mask is there: the rank takes what is forced, chooses a token, appends it
 *   FAILED  no mask will come
 *   CLOSED  the sequence is over: the cell disposes of its matcher
 *
 * All tokens stay in it, so a matcher that was lost is rebuilt from the memory alone, in any cell, without the rank noticing.
 */
const STATE = 0;
/** The cell's number: whom the rank wakes. */
const CELL_INDEX = 1;
const NUM_TOKENS = 2;
/** How many of them the rank knows. The others were appended by the cell, because nothing else was allowed. */
const NUM_TAKEN = 3;
const FAILURE = 4;
const HEADER_WORDS = 8;

export type MatcherTurn = 'cell' | 'rank' | 'failed' | 'closed';
const TURNS: readonly MatcherTurn[] = ['cell', 'rank', 'failed', 'closed'];

/** Why there is no next mask, for the log. */
export const MATCHER_FAILURES = {
  overran: 'the grammar took too long to find the next tokens',
  aborted: 'the grammar engine gave up on this grammar',
  refused: 'a token was chosen that the grammar does not allow',
  deadEnd: 'the grammar allows no token of this vocabulary here',
} as const;
export type MatcherFailure = keyof typeof MATCHER_FAILURES;
const FAILURES = Object.keys(MATCHER_FAILURES) as MatcherFailure[];

export class MatcherMemory {
  readonly buffer: SharedArrayBuffer;
  /** Bit `id % 32` of word `id >> 5`: whether the token may come next. */
  readonly mask: Int32Array;
  readonly #header: Int32Array;
  readonly #tokens: Int32Array;

  /** @param maxTokens room for output tokens. */
  static create(vocabSize: number, maxTokens: number, cellIndex: number, outputIds: readonly number[]): MatcherMemory {
    const words = HEADER_WORDS + maskWords(vocabSize) + maxTokens;
    const memory = new MatcherMemory(new SharedArrayBuffer(words * Int32Array.BYTES_PER_ELEMENT), vocabSize);
    memory.#header[CELL_INDEX] = cellIndex;
    for (const id of outputIds) memory.appendChosen(id);
    return memory;
  }

  constructor(buffer: SharedArrayBuffer, vocabSize: number) {
    const tokensAt = (HEADER_WORDS + maskWords(vocabSize)) * Int32Array.BYTES_PER_ELEMENT;
    this.buffer = buffer;
    this.#header = new Int32Array(buffer, 0, HEADER_WORDS);
    this.mask = new Int32Array(buffer, HEADER_WORDS * Int32Array.BYTES_PER_ELEMENT, maskWords(vocabSize));
    this.#tokens = new Int32Array(buffer, tokensAt);
  }

  get turn(): MatcherTurn {
    return TURNS[Atomics.load(this.#header, STATE)]!;
  }

  /** Hands the memory over; everything written before is seen by the other side. A closed one stays closed. */
  pass(to: 'cell' | 'rank' | 'failed'): void {
    const from = Atomics.load(this.#header, STATE);
    if (TURNS[from] !== 'closed') Atomics.compareExchange(this.#header, STATE, from, TURNS.indexOf(to));
  }

  /** Whoever's turn it is. */
  close(): void {
    Atomics.store(this.#header, STATE, TURNS.indexOf('closed'));
  }

  fail(why: MatcherFailure): void {
    this.#header[FAILURE] = FAILURES.indexOf(why);
    this.pass('failed');
  }

  get failure(): MatcherFailure {
    return FAILURES[this.#header[FAILURE]!]!;
  }

  get cellIndex(): number {
    return Atomics.load(this.#header, CELL_INDEX);
  }

  set cellIndex(index: number) {
    Atomics.store(this.#header, CELL_INDEX, index);
  }

  get numTokens(): number {
    return Atomics.load(this.#header, NUM_TOKENS);
  }

  get maxTokens(): number {
    return this.#tokens.length;
  }

  tokenAt(index: number): number {
    return this.#tokens[index]!;
  }

  /** For the cell: a token that is the only one allowed. One store makes it count, so a cell that dies leaves nothing half done. */
  appendForced(id: number): void {
    const { numTokens } = this;
    this.#tokens[numTokens] = id;
    Atomics.store(this.#header, NUM_TOKENS, numTokens + 1);
  }

  /** For the rank: the token that it chose. */
  appendChosen(id: number): void {
    this.appendForced(id);
    this.#header[NUM_TAKEN] = this.numTokens;
  }

  get hasForced(): boolean {
    return this.numTokens > this.#header[NUM_TAKEN]!;
  }

  /** For the rank: what the cell appended, once. */
  takeForced(): number[] {
    const ids = Array.from(this.#tokens.subarray(this.#header[NUM_TAKEN]!, this.numTokens));
    this.#header[NUM_TAKEN] = this.numTokens;
    return ids;
  }
}

const maskWords = (vocabSize: number): number => Math.ceil(vocabSize / 32);

/** What the grammar runtime gives with a request for the rank to open its constraints from. Plain data over shared memory. */
export interface GrammarHandle {
  readonly vocabSize: number;
  readonly endIds: readonly number[];
  /** One per unfinished choice. */
  readonly matchers: readonly { readonly choice: number; readonly memory: SharedArrayBuffer }[];
  /** To wake a matcher's cell (grammar-board.ts). */
  readonly board: SharedArrayBuffer;
}
