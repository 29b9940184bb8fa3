/**
 * The grammar runtime as the engine group's main thread sees it: a few cells, each a thread with its own WebAssembly instance. It starts
 * nothing before the first constrained request, then keeps one cell empty: what nobody has compiled before is compiled there, beside the
 * cells that serve. A new grammar joins a serving cell only after it was seen to compile quickly.
 *
 * A cell whose operation takes too long, or that breaks, is ended and takes nothing with it: the request that it worked for gets the
 * blame, every other matcher is opened again in another cell from its shared memory, and the rank does not notice.
 */
import { CellBoard } from './grammar-board.ts';
import { type FromCell, MAX_FORCED } from './grammar-cell.ts';
import { GrammarCells, isEmpty } from './grammar-cells.ts';
import {
  type Cell,
  type GrammarHostOptions,
  type GrammarRequest,
  GrammarUnavailableError,
  type Job,
  type OpenMatcher,
} from './grammar-jobs.ts';
import { GrammarError } from './grammar-library.ts';
import { type GrammarHandle, MATCHER_FAILURES, type MatcherFailure, MatcherMemory } from './grammar-memory.ts';
import { spawnGrammarThread } from './grammar-thread.ts';
import { threadMs } from './thread-clock.ts';

const WATCH_MS = 50;
const MAX_TEXT_CHARS = 256 * 1024;
const QUICK_MS = 50;
/** How long a request waits for an empty cell. */
const WAIT_LIMIT_MS = 10_000;
/** An empty cell that has taken more memory than this is replaced. */
const MAX_CELL_BYTES = 256 * 2 ** 20;
const MAX_START_FAILURES = 3;
/** What compiles in the given time there compiles in it everywhere, in proportion: each state of a grammar looks at every token. */
const REFERENCE_VOCABULARY = 16_384;
/** So many times slower than alone a cell may be on a busy machine before it counts as stuck. */
const MAX_SLOWDOWN = 3.4;
/** What compiled before is only slowed down by the moment. */
const PATIENCE_WITH_CONTINUED = 10;
const MAX_OUTPUT_TOKENS = 2 ** 20;

export class GrammarHost {
  readonly #options: Required<GrammarHostOptions>;
  readonly #board: CellBoard;
  readonly #rankWake: Int32Array;
  readonly #cells: GrammarCells;
  #waiting: Job[] = [];
  #facts: { readonly vocabSize: number; readonly endIds: readonly number[] } | null = null;
  #nextId = 1;
  #numStartFailures = 0;
  #watch: unknown = null;
  #isClosed = false;

  constructor(options: GrammarHostOptions) {
    this.#options = { maxCells: 4, compileLimitMs: 500, maskLimitMs: 2000, ...options };
    this.#board = CellBoard.create(this.#options.maxCells);
    this.#cells = new GrammarCells(this.#options.maxCells);
    this.#rankWake = new Int32Array(options.rankWake);
  }

  get numCells(): number {
    return this.#cells.size;
  }

  /** Matchers of requests that are not over. */
  get numMatchers(): number {
    return this.#cells.numMatchers;
  }

  /** Matchers that the cells keep. */
  get numNativeMatchers(): number {
    let count = 0;
    for (const { index } of this.#cells.all()) count += this.#board.numMatchers(index);
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
        isQuick: null,
        isContinued: choices.some(({ outputIds }) => outputIds.length > 0),
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

  /** For tests of faults: ends the thread of a cell that has matchers. @returns whether there was one. */
  killServingCell(): boolean {
    const cell = this.#cells.all().find((candidate) => !isEmpty(candidate));
    if (cell) this.#lose(cell, 'aborted', null);
    return cell !== undefined;
  }

  /** The threads end at once; matchers that still live never get another mask. */
  close(): void {
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#watch);
    for (const cell of this.#cells.all()) {
      this.#cells.delete(cell);
      void cell.link.terminate();
    }
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
      const cell = this.#cells.cellFor(job);
      if (cell) this.#give(cell, job);
      else kept.push(job);
    }
    this.#waiting.push(...kept);
    this.#keepReserve();
    if (!this.#watch && (this.#cells.size > 0 || this.#waiting.length > 0)) this.#planWatch();
  }

  #give(cell: Cell, job: Job): void {
    const { vocabSize } = this.#facts!;
    const isTrial = job.isQuick === null && isEmpty(cell) && this.#cells.hasServing;
    if (job.matchers.length === 0 && !isTrial)
      job.matchers = job.choices.map(({ outputIds }) => ({
        id: this.#nextId++,
        memory: MatcherMemory.create(vocabSize, job.maxTokens, cell.index, outputIds),
      }));
    const { text, runsAhead } = job;
    const matchers = isTrial ? [] : job.matchers;
    for (const { id, memory } of matchers) {
      memory.cellIndex = cell.index;
      cell.matchers.set(id, { id, memory, text, runsAhead, isSlow: job.isQuick === false });
    }
    job.startedAt = this.#options.clock.monotonic();
    cell.current = { job, isTrial };
    cell.operation = null;
    cell.link.post({ job: job.id, text, runsAhead, matchers: matchers.map(({ id, memory }) => ({ id, memory: memory.buffer })) });
    this.#board.wake(cell.index);
  }

  #receive(cell: Cell, message: FromCell): void {
    if (!this.#cells.has(cell)) return;
    const current = cell.current;
    switch (message.type) {
      case 'ready':
        this.#facts = message;
        cell.clock = message.clock;
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
        current?.job.settle.reject(new GrammarError(message.message, message.broken !== 'no'));
        if (message.broken === 'reloads') {
          cell.isReady = false;
          cell.texts.clear();
        }
        if (message.broken === 'ends') this.#lose(cell, 'aborted', null);
        break;
      default:
        message satisfies never;
    }
    this.#dispatch();
  }

  #opened(cell: Cell, job: Job, isTrial: boolean): void {
    cell.texts.add(job.text);
    job.isQuick ??= this.#options.clock.monotonic() - job.startedAt <= QUICK_MS;
    if (isTrial) this.#waiting.unshift(job);
    else {
      for (const { id } of job.matchers) cell.matchers.set(id, { ...cell.matchers.get(id)!, isSlow: !job.isQuick });
      job.settle.resolve(job.matchers);
    }
  }

  // ---- cells

  /** One cell without matchers, so that the next new grammar is compiled beside those that are served. */
  #keepReserve(): void {
    if (!this.#isClosed && this.#cells.wantsReserve) this.#startCell();
  }

  #startCell(): void {
    const index = this.#cells.freeIndex;
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
      clock: null,
      numBytes: 0,
    };
    this.#cells.add(cell);
    link.onMessage((message) => this.#receive(cell, message));
    link.onExit((reason) => this.#exited(cell, reason));
  }

  #exited(cell: Cell, reason: string): void {
    if (!this.#cells.has(cell)) return;
    if (!cell.isReady && ++this.#numStartFailures >= MAX_START_FAILURES) {
      this.#options.log.error({ cell: cell.index, reason }, 'grammar cells cannot be started');
      this.#numStartFailures = 0;
      this.#cells.delete(cell);
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
    this.#cells.delete(cell);
    const { current } = cell;
    const owned = new Set(current?.job.matchers.map(({ id }) => id));
    const isBlamed = culprit === 0 || (culprit !== null && owned.has(culprit));
    if (current && isBlamed) current.job.settle.reject(new GrammarError(this.#complaint(why, culprit), true));
    const lost = [...cell.matchers.values()].filter(({ id, memory }) => memory.turn !== 'closed' && !owned.has(id));
    void cell.link.terminate().then(() => {
      for (const { id, memory, text, runsAhead, isSlow } of lost) {
        if (id === culprit) this.#failMatcher(memory, why);
        else this.#reopen({ id, memory }, { text, runsAhead, isQuick: !isSlow });
      }
      if (current && !isBlamed) this.#enqueue(current.job);
      this.#dispatch();
    });
  }

  #complaint(why: MatcherFailure, culprit: number | null): string {
    if (why === 'overran' && culprit === 0)
      return `The constraint takes too long to compile, at most ${this.#compileLimitMs / 1000} s: fewer or smaller repeats and alternatives help.`;
    return `The constraint cannot be used: ${MATCHER_FAILURES[why]}.`;
  }

  #reopen(matcher: OpenMatcher, grammar: Pick<Job, 'text' | 'runsAhead' | 'isQuick'>): void {
    const askedAt = this.#options.clock.monotonic();
    const settle = { resolve: () => {}, reject: () => this.#failMatcher(matcher.memory, 'aborted') };
    const facts = { id: this.#nextId++, choices: [], maxTokens: 0, isContinued: true, askedAt, startedAt: 0 };
    this.#enqueue({ ...grammar, ...facts, matchers: [matcher], settle });
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
    for (const cell of this.#cells.all()) {
      for (const { id, memory } of cell.matchers.values()) if (memory.turn === 'closed' && !cell.current) cell.matchers.delete(id);
      if (this.#isStuck(cell, now)) {
        this.#options.log.warn({ cell: cell.index }, 'a grammar takes too long; its cell is ended');
        this.#lose(cell, 'overran', this.#board.matcher(cell.index));
      } else if (cell.numBytes > MAX_CELL_BYTES && !cell.current && cell.matchers.size === 0) {
        this.#lose(cell, 'aborted', null);
      }
    }
    this.#waiting = this.#waiting.filter((job) => {
      const isOver = !job.isContinued && now - job.askedAt > WAIT_LIMIT_MS;
      if (isOver) job.settle.reject(new GrammarUnavailableError('Too many grammars are in use at the moment.'));
      return !isOver;
    });
    this.#dispatch();
  }

  #isStuck(cell: Cell, now: number): boolean {
    const number = this.#board.operation(cell.index);
    if (number === null || cell.operation?.number !== number) {
      cell.operation = number === null ? null : { number, since: now, computedMs: threadMs(cell.clock) };
      return false;
    }
    const patience = cell.current?.job.isContinued ? PATIENCE_WITH_CONTINUED : 1;
    const limit = this.#board.matcher(cell.index) === 0 ? this.#compileLimitMs * patience : this.#options.maskLimitMs;
    const passedMs = now - cell.operation.since;
    const computedMs = threadMs(cell.clock);
    if (computedMs === null || cell.operation.computedMs === null) return passedMs > limit;
    return computedMs - cell.operation.computedMs > limit || passedMs > limit * MAX_SLOWDOWN;
  }

  get #compileLimitMs(): number {
    const share = Math.max(1, (this.#facts?.vocabSize ?? 0) / REFERENCE_VOCABULARY);
    return Math.round(this.#options.compileLimitMs * share);
  }
}
