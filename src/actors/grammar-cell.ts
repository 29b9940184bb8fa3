/**
 * One grammar cell: it compiles grammars and keeps the matchers of those it compiled. Each matcher's memory is shared with the rank; the
 * cell works on those that are its turn, in rounds, so that none waits for more than one operation of each other.
 */
import type { CompiledGrammar, GrammarMatcher } from '@mlc-ai/web-xgrammar';
import { assert } from '../core/errors.ts';
import type { CellBoard } from './grammar-board.ts';
import { GrammarError, type GrammarLibrary } from './grammar-library.ts';
import { MatcherMemory } from './grammar-memory.ts';

/** Host → cell: compile this, unless it is known, and open matchers on it. */
export interface OpenJob {
  readonly job: number;
  /** A structural tag as JSON text. */
  readonly text: string;
  readonly matchers: readonly { readonly id: number; readonly memory: SharedArrayBuffer }[];
  /** Tokens that are the only ones allowed are accepted without being asked for. */
  readonly runsAhead: boolean;
}

/** Cell → host. */
export type FromCell =
  | { readonly type: 'ready'; readonly vocabSize: number; readonly endIds: readonly number[]; readonly clock: string | null }
  | { readonly type: 'opened'; readonly job: number; readonly numBytes: number }
  /** `broken`: `reloads` = it makes itself a new instance and says `ready` again; `ends` = others live in it, and it is to be replaced. */
  | { readonly type: 'refused'; readonly job: number; readonly message: string; readonly broken: 'no' | 'reloads' | 'ends' };

export interface GrammarCellOptions {
  readonly newLibrary: () => Promise<GrammarLibrary>;
  readonly vocabSize: number;
  readonly endIds: readonly number[];
  readonly index: number;
  readonly board: CellBoard;
  readonly rankWake: Int32Array;
}

interface Matcher {
  readonly id: number;
  readonly memory: MatcherMemory;
  readonly native: GrammarMatcher;
  readonly grammar: Compiled;
  readonly runsAhead: boolean;
  /** Tokens of the memory that the native matcher has seen. */
  numAccepted: number;
}

interface Compiled {
  readonly native: CompiledGrammar;
  readonly text: string;
  numMatchers: number;
}

/** Compiled grammars that nobody uses at the moment and that are kept. */
const MAX_CACHED_GRAMMARS = 64;
/** Tokens that a run of forced ones may have. */
export const MAX_FORCED = 32;
/** Tokens replayed as one operation, for the watch. */
const REPLAY_TOKENS = 256;

export class GrammarCell {
  readonly #options: GrammarCellOptions;
  readonly #matchers = new Map<number, Matcher>();
  /** By text, least recently used first. */
  readonly #grammars = new Map<string, Compiled>();
  readonly #endIds: ReadonlySet<number>;
  #library: GrammarLibrary | null = null;

  constructor(options: GrammarCellOptions) {
    this.#options = options;
    this.#endIds = new Set(options.endIds);
  }

  /** Before the first job, and after one that broke the instance. The only thing that really waits. */
  async load(): Promise<void> {
    const { board, index } = this.#options;
    if (board.operation(index) !== null) board.end(index);
    this.#grammars.clear();
    this.#library = await this.#options.newLibrary();
  }

  get #loaded(): GrammarLibrary {
    assert(this.#library, 'the cell got a job before it was ready');
    return this.#library;
  }

  /** Opens the job's matchers, each with its first mask made where it is its turn. */
  async open({ job, text, matchers, runsAhead }: OpenJob): Promise<FromCell> {
    try {
      const grammar = await this.#grammar(text);
      for (const { id, memory } of matchers) {
        const native = await this.#operation(0, () => this.#loaded.newMatcher(grammar.native));
        const matcher = { id, native, grammar, runsAhead, numAccepted: 0, memory: new MatcherMemory(memory, this.#options.vocabSize) };
        grammar.numMatchers++;
        this.#matchers.set(id, matcher);
        this.#countMatchers();
        await this.#replay(matcher);
        if (matcher.memory.turn === 'cell') await this.#advance(matcher);
        if (matcher.memory.turn === 'failed' && matcher.memory.failure === 'deadEnd' && matcher.memory.numTokens === 0)
          throw new GrammarError('The constraint allows no text at all.', false);
      }
      return { type: 'opened', job, numBytes: this.#loaded.numBytes };
    } catch (error) {
      const isBroken = !(error instanceof GrammarError) || error.isFatal;
      for (const { id } of matchers) this.#forget(id, !isBroken);
      const broken = !isBroken ? 'no' : this.#matchers.size > 0 ? 'ends' : 'reloads';
      return { type: 'refused', job, message: error instanceof Error ? error.message : String(error), broken };
    }
  }

  /** One round over all matchers. @returns whether there was anything to do. */
  async serve(): Promise<boolean> {
    let hasWorked = false;
    for (const matcher of [...this.#matchers.values()]) {
      const { turn } = matcher.memory;
      if (turn === 'rank') continue;
      if (turn === 'cell') await this.#advance(matcher);
      else this.#forget(matcher.id, true);
      hasWorked = true;
    }
    return hasWorked;
  }

  /** Accepts what is new, makes the next mask, and gives the memory back. */
  async #advance(matcher: Matcher): Promise<void> {
    const { memory } = matcher;
    await this.#operation(matcher.id, async () => {
      const numKnown = memory.numTokens;
      for (;;) {
        if (!this.#accept(matcher)) return memory.fail('refused');
        if (this.#endIds.has(memory.tokenAt(memory.numTokens - 1)) && matcher.native.isTerminated()) return memory.pass('rank');
        memory.mask.set(await matcher.native.getNextTokenBitmask());
        const only = onlyAllowed(memory.mask);
        if (only === NONE_ALLOWED) return memory.fail('deadEnd');
        const mayGoOn = matcher.runsAhead && memory.numTokens - numKnown < MAX_FORCED && memory.numTokens < memory.maxTokens;
        if (only === SEVERAL_ALLOWED || !mayGoOn) return memory.pass('rank');
        memory.appendForced(only);
      }
    });
    this.#wakeRank();
  }

  /** Brings the native matcher up to the memory's tokens. @returns false when one of them is not allowed. */
  #accept(matcher: Matcher, limit = Number.POSITIVE_INFINITY): boolean {
    const end = Math.min(matcher.memory.numTokens, matcher.numAccepted + limit);
    while (matcher.numAccepted < end) {
      if (!matcher.native.acceptToken(matcher.memory.tokenAt(matcher.numAccepted))) return false;
      matcher.numAccepted++;
    }
    return true;
  }

  /** What earlier attempts said, in pieces that the watch can tell apart from a matcher that hangs. */
  async #replay(matcher: Matcher): Promise<void> {
    const end = matcher.memory.numTokens;
    let isAllowed = true;
    while (isAllowed && matcher.numAccepted < end) {
      await this.#operation(matcher.id, async () => {
        isAllowed = this.#accept(matcher, REPLAY_TOKENS);
      });
    }
  }

  async #grammar(text: string): Promise<Compiled> {
    const known = this.#grammars.get(text);
    this.#grammars.delete(text);
    const grammar = known ?? { native: await this.#operation(0, () => this.#loaded.compile(text)), text, numMatchers: 0 };
    this.#grammars.set(text, grammar);
    this.#evict();
    return grammar;
  }

  #evict(): void {
    for (const grammar of this.#grammars.values()) {
      if (this.#grammars.size <= MAX_CACHED_GRAMMARS) return;
      if (grammar.numMatchers > 0) continue;
      this.#grammars.delete(grammar.text);
      grammar.native.dispose();
    }
  }

  #forget(id: number, isUsable: boolean): void {
    const matcher = this.#matchers.get(id);
    if (!matcher) return;
    this.#matchers.delete(id);
    if (isUsable) matcher.native.dispose();
    matcher.grammar.numMatchers--;
    this.#countMatchers();
  }

  /** When the library breaks in the middle of one, the thread ends, and the board still says for whom it worked. */
  async #operation<T>(matcher: number, run: () => Promise<T>): Promise<T> {
    const { board, index } = this.#options;
    board.begin(index, matcher);
    try {
      const result = await run();
      board.end(index);
      return result;
    } catch (error) {
      if (error instanceof GrammarError) board.end(index);
      throw error;
    }
  }

  #countMatchers(): void {
    this.#options.board.setNumMatchers(this.#options.index, this.#matchers.size);
  }

  #wakeRank(): void {
    Atomics.add(this.#options.rankWake, 0, 1);
    Atomics.notify(this.#options.rankWake, 0);
  }
}

const NONE_ALLOWED = -1;
const SEVERAL_ALLOWED = -2;

/** The id of the only bit of the mask, or which of the other cases it is. */
function onlyAllowed(mask: Int32Array): number {
  let only = NONE_ALLOWED;
  for (let word = 0; word < mask.length; word++) {
    const bits = mask[word]!;
    if (bits === 0) continue;
    if (only !== NONE_ALLOWED || (bits & (bits - 1)) !== 0) return SEVERAL_ALLOWED;
    only = word * 32 + (31 - Math.clz32(bits));
  }
  return only;
}
