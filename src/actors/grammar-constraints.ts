/** A rank's side of the grammar runtime: shared memory that the cells fill (see grammar-memory.ts), behind the engine's small interface. */
import type { Constraint, Constraints } from '../engine/constraint.ts';
import type { EngineChoice, EngineRequest } from '../engine/request.ts';
import { CellBoard } from './grammar-board.ts';
import { type GrammarHandle, MATCHER_FAILURES, MatcherMemory } from './grammar-memory.ts';

const NONE: readonly number[] = [];

/** @param wake the counter that cells (and everyone else who wants the rank's attention) bump. */
export function sharedConstraints(wake: Int32Array): Constraints {
  let seen = Atomics.load(wake, 0);
  return {
    open: (request, choice) => openShared(request, choice),
    pause: (ms) => {
      const result = Atomics.wait(wake, 0, seen, ms);
      seen = Atomics.load(wake, 0);
      return result !== 'timed-out';
    },
    discard: closeGrammar,
  };
}

/** For a request that nobody will run. */
export function closeGrammar({ grammar }: Pick<EngineRequest, 'grammar'>): void {
  const handle = grammar as GrammarHandle | undefined;
  for (const { memory } of handle?.matchers ?? []) close(new MatcherMemory(memory, handle!.vocabSize), handle!);
}

function openShared(request: EngineRequest, choice: EngineChoice): Constraint {
  const handle = request.grammar as GrammarHandle | undefined;
  const matcher = handle?.matchers.find((entry) => entry.choice === choice.index);
  if (!handle || !matcher) throw new Error(`Invariant broken: ${request.key}, choice ${choice.index}, came without its grammar.`);
  return new SharedConstraint(new MatcherMemory(matcher.memory, handle.vocabSize), handle);
}

class SharedConstraint implements Constraint {
  readonly #memory: MatcherMemory;
  readonly #handle: GrammarHandle;

  constructor(memory: MatcherMemory, handle: GrammarHandle) {
    this.#memory = memory;
    this.#handle = handle;
  }

  get state(): Constraint['state'] {
    const { turn } = this.#memory;
    return turn === 'rank' ? 'ready' : turn === 'cell' ? 'working' : 'failed';
  }

  get mask(): Int32Array {
    return this.#memory.mask;
  }

  get endIds(): readonly number[] {
    return this.#handle.endIds;
  }

  get failure(): string {
    return MATCHER_FAILURES[this.#memory.failure];
  }

  takeForced(): readonly number[] {
    return this.#memory.hasForced ? this.#memory.takeForced() : NONE;
  }

  accept(id: number): void {
    this.#memory.appendChosen(id);
    this.#memory.pass('cell');
    wakeCell(this.#memory, this.#handle);
  }

  close(): void {
    close(this.#memory, this.#handle);
  }
}

function close(memory: MatcherMemory, handle: GrammarHandle): void {
  memory.close();
  wakeCell(memory, handle);
}

const wakeCell = (memory: MatcherMemory, { board }: GrammarHandle): void => new CellBoard(board).wake(memory.cellIndex);
