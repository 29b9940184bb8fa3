/**
 * The grammar runtime as the engine group's main thread sees it: a few cells, each a thread with its own WebAssembly instance. It starts
 * nothing before the first constrained request, then keeps one cell empty: what nobody has compiled before is compiled there, beside the
 * cells that serve. A new grammar joins a serving cell only after it was seen to compile quickly.
 *
 * A cell whose operation takes too long, or that breaks, is ended and takes nothing with it: the request that it worked for gets the
 * blame, every other matcher is opened again in another cell from its shared memory, and the rank does not notice.
 */
import type { Clock } from '../core/clock.ts';
import { CellBoard } from './grammar-board.ts';
import { type FromCell, MAX_FORCED } from './grammar-cell.ts';
import { GrammarError } from './grammar-library.ts';
import { type GrammarHandle, MATCHER_FAILURES, type MatcherFailure, MatcherMemory } from './grammar-memory.ts';
import { type CellLink, spawnGrammarThread } from './grammar-thread.ts';
import type { Log } from './log.ts';

export interface GrammarHostOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly modelDir: string;
  /** The counter that wakes the rank. */
  readonly rankWake: SharedArrayBuffer;
  /** Threads at most, the empty one included. 4. */
  readonly maxCells?: number;
  /** Time for one compilation. 1500 ms. */
  readonly compileLimitMs?: number;
  /** Time for one mask. 2000 ms. */
  readonly maskLimitMs?: number;
}

export interface GrammarRequest {
  /** A structural tag as JSON text. */
  readonly text: string;
  readonly choices: readonly { readonly index: number; readonly outputIds: readonly number[] }[];
  /** Output tokens of a choice at most. */
  readonly maxTokens: number;
  /** Tokens that are the only ones allowed come without being asked for. */
  readonly runsAhead: boolean;
}

/** Nothing is wrong with the grammar: every cell is taken, or none can be started. */
export class GrammarUnavailableError extends Error {
  override readonly name = 'GrammarUnavailableError';
}

interface OpenMatcher {
  readonly id: number;
  readonly memory: MatcherMemory;
}

interface Job {
  readonly id: number;
  readonly text: string;
  readonly runsAhead: boolean;
  readonly choices: GrammarRequest['choices'];
  readonly maxTokens: number;
  matchers: readonly OpenMatcher[];
  /** Its grammar was compiled before: it may join a cell that serves. */
  isQuick: boolean;
  readonly askedAt: number;
  startedAt: number;
  readonly settle: { resolve(matchers: readonly OpenMatcher[]): void; reject(error: Error): void };
}

interface Cell {
  readonly index: number;
  readonly link: CellLink;
  isReady: boolean;
  /** The one job that it was given. `isTrial`: it only compiles. */
  current: { readonly job: Job; readonly isTrial: boolean } | null;
  readonly texts: Set<string>;
  readonly matchers: Map<number, OpenMatcher & { readonly text: string; readonly runsAhead: boolean }>;
  operation: { readonly number: number; readonly since: number } | null;
  numBytes: number;
}

const WATCH_MS = 50;
const MAX_TEXT_CHARS = 256 * 1024;
const QUICK_MS = 50;
/** How long a request waits for an empty cell. */
const WAIT_LIMIT_MS = 10_000;
/** An empty cell that has taken more memory than this is replaced. */
const MAX_CELL_BYTES = 256 * 2 ** 20;
const MAX_START_FAILURES = 3;
const MAX_OUTPUT_TOKENS = 2 ** 20;

export class GrammarHost {
  readonly #options: Required<GrammarHostOptions>;
  readonly #board: CellBoard;
  readonly #rankWake: Int32Array;
  readonly #cells = new Map<number, Cell>();
  #waiting: Job[] = [];
  #facts: { readonly vocabSize: number; readonly endIds: readonly number[] } | null = null;
  #nextId = 1;
  #numStartFailures = 0;
  #watch: unknown = null;
  #isClosed = false;

  constructor(options: GrammarHostOptions) {
    this.#options = { maxCells: 4, compileLimitMs: 1500, maskLimitMs: 2000, ...options };
    this.#board = CellBoard.create(this.#options.maxCells);
    this.#rankWake = new Int32Array(options.rankWake);
  }

  get numCells(): number {
    return this.#cells.size;
  }

  /** Matchers of requests that are not over. */
  get numMatchers(): number {
    let count = 0;
    for (const cell of this.#cells.values()) for (const { memory } of cell.matchers.values()) if (memory.turn !== 'closed') count++;
    return count;
  }

  /** Matchers that the cells keep. */
  get numNativeMatchers(): number {
    let count = 0;
    for (const index of this.#cells.keys()) count += this.#board.numMatchers(index);
    return count;
  }

  /**
   * Compiles, and opens a matcher for each choice.
   * @throws GrammarError: the grammar is bad, too large or too slow. GrammarUnavailableError.
   */
  async open(request: GrammarRequest): Promise<GrammarHandle> {
    const { text, choices, runsAhead } = request;
    if (text.length > MAX_TEXT_CHARS)
      throw new GrammarError(`The constraint is too large: ${text.length} characters, at most ${MAX_TEXT_CHARS} are compiled.`, false);
    const maxTokens = Math.min(request.maxTokens, MAX_OUTPUT_TOKENS) + MAX_FORCED;
    const matchers = await new Promise<readonly OpenMatcher[]>((resolve, reject) => {
      const askedAt = this.#options.clock.monotonic();
      const settle = { resolve, reject };
      this.#enqueue({
        id: this.#nextId++,
        text,
        choices,
        runsAhead,
        maxTokens,
        matchers: [],
        isQuick: false,
        askedAt,
        startedAt: 0,
        settle,
      });
    });
    const { vocabSize, endIds } = this.#facts!;
    return {
      vocabSize,
      endIds,
      board: this.#board.buffer,
      matchers: matchers.map(({ memory }, i) => ({ choice: choices[i]!.index, memory: memory.buffer })),
    };
  }

  /** The threads end at once; matchers that still live never get another mask. */
  close(): void {
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#watch);
    for (const cell of this.#cells.values()) cell.link.terminate();
    this.#cells.clear();
    for (const job of this.#waiting.splice(0)) job.settle.reject(new GrammarUnavailableError('The engine is stopping.'));
  }

  // ---- jobs

  #enqueue(job: Job): void {
    if (this.#isClosed) {
      job.settle.reject(new GrammarUnavailableError('The engine is stopping.'));
      return;
    }
    this.#waiting.push(job);
    this.#dispatch();
  }

  #dispatch(): void {
    const kept: Job[] = [];
    for (const job of this.#waiting.splice(0)) {
      const cell = this.#cellFor(job);
      if (cell) this.#give(cell, job);
      else kept.push(job);
    }
    this.#waiting.push(...kept);
    this.#keepReserve();
    if (!this.#watch && (this.#cells.size > 0 || this.#waiting.length > 0)) this.#planWatch();
  }

  /** A cell that knows the text; else an empty one; else, for what compiles quickly, the one with the fewest matchers. */
  #cellFor(job: Job): Cell | null {
    const free = [...this.#cells.values()].filter((cell) => cell.isReady && !cell.current);
    const isFull = this.#cells.size >= this.#options.maxCells;
    const empty = free.filter((cell) => this.#isEmpty(cell));
    const serving = free.filter((cell) => !this.#isEmpty(cell)).sort((a, b) => a.matchers.size - b.matchers.size);
    const knowing = [...serving, ...(isFull && empty.length === 1 ? [] : empty)].find((cell) => cell.texts.has(job.text));
    if (knowing) return knowing;
    if (job.isQuick && isFull) return serving[0] ?? empty[0] ?? null;
    // The last empty cell of a full house is for trials; what was tried and is slow waits for another.
    if (isFull && empty.length === 1 && job.startedAt > 0) return null;
    return empty[0] ?? null;
  }

  #isEmpty(cell: Cell): boolean {
    for (const { memory } of cell.matchers.values()) if (memory.turn !== 'closed') return false;
    return true;
  }

  #give(cell: Cell, job: Job): void {
    const { vocabSize } = this.#facts!;
    const numEmpty = [...this.#cells.values()].filter((other) => this.#isEmpty(other)).length;
    const isTrial = this.#isEmpty(cell) && numEmpty === 1 && this.#cells.size >= this.#options.maxCells && !job.isQuick;
    if (job.matchers.length === 0 && !isTrial)
      job.matchers = job.choices.map(({ outputIds }) => ({
        id: this.#nextId++,
        memory: MatcherMemory.create(vocabSize, job.maxTokens, cell.index, outputIds),
      }));
    const { text, runsAhead } = job;
    const matchers = isTrial ? [] : job.matchers;
    for (const { id, memory } of matchers) {
      memory.cellIndex = cell.index;
      cell.matchers.set(id, { id, memory, text, runsAhead });
    }
    job.startedAt = this.#options.clock.monotonic();
    cell.current = { job, isTrial };
    cell.operation = null;
    cell.link.post({ job: job.id, text, runsAhead, matchers: matchers.map(({ id, memory }) => ({ id, memory: memory.buffer })) });
    this.#board.wake(cell.index);
  }

  #receive(cell: Cell, message: FromCell): void {
    if (this.#cells.get(cell.index) !== cell) return;
    const current = cell.current;
    switch (message.type) {
      case 'ready':
        this.#facts = message;
        this.#numStartFailures = 0;
        cell.isReady = true;
        break;
      case 'opened':
        cell.current = null;
        cell.numBytes = message.numBytes;
        if (current) this.#opened(cell, current.job, current.isTrial);
        break;
      case 'refused':
        cell.current = null;
        for (const { id } of current?.job.matchers ?? []) cell.matchers.delete(id);
        current?.job.settle.reject(new GrammarError(message.message, message.isBroken));
        if (message.isBroken) this.#lose(cell, 'aborted', null);
        break;
      default:
        message satisfies never;
    }
    this.#dispatch();
  }

  #opened(cell: Cell, job: Job, isTrial: boolean): void {
    cell.texts.add(job.text);
    if (!isTrial) {
      job.settle.resolve(job.matchers);
      return;
    }
    job.isQuick = this.#options.clock.monotonic() - job.startedAt <= QUICK_MS;
    this.#waiting.unshift(job);
  }

  // ---- cells

  /** One cell without matchers, so that the next new grammar is compiled beside those that are served. */
  #keepReserve(): void {
    if (this.#isClosed || this.#cells.size >= this.#options.maxCells) return;
    for (const cell of this.#cells.values()) if (!cell.isReady || (!cell.current && this.#isEmpty(cell))) return;
    this.#startCell();
  }

  #startCell(): void {
    let index = 0;
    while (this.#cells.has(index)) index++;
    this.#board.reset(index);
    const { modelDir, rankWake } = this.#options;
    const link = spawnGrammarThread({ modelDir, index, board: this.#board.buffer, rankWake });
    const cell: Cell = {
      index,
      link,
      isReady: false,
      current: null,
      texts: new Set(),
      matchers: new Map(),
      operation: null,
      numBytes: 0,
    };
    this.#cells.set(index, cell);
    link.onMessage((message) => this.#receive(cell, message));
    link.onExit((reason) => this.#exited(cell, reason));
  }

  #exited(cell: Cell, reason: string): void {
    if (this.#cells.get(cell.index) !== cell) return;
    if (!cell.isReady && ++this.#numStartFailures >= MAX_START_FAILURES) {
      this.#options.log.error({ cell: cell.index, reason }, 'grammar cells cannot be started');
      this.#numStartFailures = 0;
      this.#cells.delete(cell.index);
      for (const job of this.#waiting.splice(0))
        job.settle.reject(new GrammarUnavailableError(`Grammar cells cannot be started: ${reason}`));
      return;
    }
    this.#options.log.warn({ cell: cell.index, reason }, 'a grammar cell ended');
    const isWorking = this.#board.operation(cell.index) !== null;
    this.#lose(cell, 'aborted', isWorking ? this.#board.matcher(cell.index) : null);
    this.#dispatch();
  }

  /** @param culprit the matcher that it worked for, 0 = a compilation, null = nobody is to blame. */
  #lose(cell: Cell, why: MatcherFailure, culprit: number | null): void {
    this.#cells.delete(cell.index);
    const { current } = cell;
    const owned = new Set(current?.job.matchers.map(({ id }) => id));
    const isBlamed = culprit === 0 || (culprit !== null && owned.has(culprit));
    if (current && isBlamed) current.job.settle.reject(new GrammarError(this.#complaint(why, culprit), true));
    const lost = [...cell.matchers.values()].filter(({ id, memory }) => memory.turn !== 'closed' && !owned.has(id));
    cell.link.terminate().then(() => {
      for (const { id, memory, text, runsAhead } of lost) {
        if (id === culprit) this.#failMatcher(memory, why);
        else this.#reopen({ id, memory }, text, runsAhead);
      }
      if (current && !isBlamed) this.#enqueue(current.job);
      this.#dispatch();
    });
  }

  #complaint(why: MatcherFailure, culprit: number | null): string {
    if (why === 'overran' && culprit === 0)
      return `The constraint takes too long to compile, at most ${this.#options.compileLimitMs / 1000} s: fewer or smaller repeats and alternatives help.`;
    return `The constraint cannot be used: ${MATCHER_FAILURES[why]}.`;
  }

  #reopen(matcher: OpenMatcher, text: string, runsAhead: boolean): void {
    const askedAt = this.#options.clock.monotonic();
    const settle = { resolve: () => {}, reject: () => this.#failMatcher(matcher.memory, 'aborted') };
    const job = { id: this.#nextId++, text, runsAhead, choices: [], maxTokens: 0, matchers: [matcher], askedAt, startedAt: 0, settle };
    this.#enqueue({ ...job, isQuick: true });
  }

  #failMatcher(memory: MatcherMemory, why: MatcherFailure): void {
    memory.fail(why);
    Atomics.add(this.#rankWake, 0, 1);
    Atomics.notify(this.#rankWake, 0);
  }

  // ---- watch

  #planWatch(): void {
    this.#watch = this.#options.clock.setTimeout(() => {
      this.#watch = null;
      this.#look();
    }, WATCH_MS);
  }

  /** Ends cells that are stuck or grew too large, forgets matchers that are closed, and jobs that have waited too long. */
  #look(): void {
    const now = this.#options.clock.monotonic();
    for (const cell of [...this.#cells.values()]) {
      for (const { id, memory } of cell.matchers.values()) if (memory.turn === 'closed' && !cell.current) cell.matchers.delete(id);
      if (this.#isStuck(cell, now)) {
        this.#options.log.warn({ cell: cell.index }, 'a grammar takes too long; its cell is ended');
        this.#lose(cell, 'overran', this.#board.matcher(cell.index));
      } else if (cell.numBytes > MAX_CELL_BYTES && !cell.current && cell.matchers.size === 0) {
        this.#lose(cell, 'aborted', null);
      }
    }
    this.#waiting = this.#waiting.filter((job) => {
      const isOver = job.choices.length > 0 && now - job.askedAt > WAIT_LIMIT_MS;
      if (isOver) job.settle.reject(new GrammarUnavailableError('Too many grammars are in use at the moment.'));
      return !isOver;
    });
    this.#dispatch();
  }

  #isStuck(cell: Cell, now: number): boolean {
    const number = this.#board.operation(cell.index);
    if (number === null || cell.operation?.number !== number) {
      cell.operation = number === null ? null : { number, since: now };
      return false;
    }
    const limit = this.#board.matcher(cell.index) === 0 ? this.#options.compileLimitMs : this.#options.maskLimitMs;
    return now - cell.operation.since > limit;
  }
}
