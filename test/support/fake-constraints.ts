/**
 * Grammars without a grammar engine: a function from the output so far to the ids that may come next. Masks come late on demand; time
 * passes with each look at a state that is still `working`.
 */
import assert from 'node:assert/strict';
import type { Constraint, Constraints } from '../../src/engine/constraint.ts';

export interface FakeGrammar {
  /** Ids that may come after this output; empty = a dead end. */
  readonly next: (outputIds: readonly number[]) => readonly number[];
  readonly endIds?: readonly number[];
  /** Calls of `pause` and steps that a mask takes; 0 = it is there at once. */
  readonly delay?: (outputIds: readonly number[]) => number;
  /** Tokens without an alternative come by themselves. */
  readonly runsAhead?: boolean;
  readonly vocabSize?: number;
}

/** By the text in `params.constraint`. */
export class FakeConstraints implements Constraints {
  readonly #grammars: Readonly<Record<string, FakeGrammar>>;
  readonly opened: FakeConstraint[] = [];
  numPauses = 0;
  numDiscarded = 0;

  constructor(grammars: Readonly<Record<string, FakeGrammar>>) {
    this.#grammars = grammars;
  }

  get numOpen(): number {
    return this.opened.filter((constraint) => !constraint.isClosed).length;
  }

  open: Constraints['open'] = (request, choice) => {
    const constraint = new FakeConstraint(this.#grammars[request.params.constraint!]!, choice.outputIds);
    this.opened.push(constraint);
    return constraint;
  };

  pause(): boolean {
    this.numPauses++;
    return this.tick();
  }

  discard(): void {
    this.numDiscarded++;
  }

  /** Time passes. @returns whether a mask has come. */
  tick(): boolean {
    return this.opened.map((constraint) => constraint.tick()).includes(true);
  }
}

export class FakeConstraint implements Constraint {
  readonly mask: Int32Array;
  readonly endIds: readonly number[];
  failure = '';
  isClosed = false;
  readonly #grammar: FakeGrammar;
  readonly #ids: number[];
  #numTaken: number;
  #ticksLeft = 0;

  constructor(grammar: FakeGrammar, outputIds: readonly number[]) {
    this.#grammar = grammar;
    this.mask = new Int32Array(Math.ceil((grammar.vocabSize ?? 32) / 32));
    this.endIds = grammar.endIds ?? [0];
    this.#ids = [...outputIds];
    this.#numTaken = outputIds.length;
    this.#makeMask();
  }

  get state(): Constraint['state'] {
    return this.failure !== '' ? 'failed' : this.#ticksLeft > 0 ? 'working' : 'ready';
  }

  tick(): boolean {
    return this.#ticksLeft > 0 && --this.#ticksLeft === 0;
  }

  takeForced(): readonly number[] {
    assert.equal(this.state, 'ready');
    const ids = this.#ids.slice(this.#numTaken);
    this.#numTaken = this.#ids.length;
    return ids;
  }

  accept(id: number): void {
    assert.equal(this.state, 'ready', 'a token was chosen without a mask');
    assert.equal(this.#numTaken, this.#ids.length, 'forced tokens were passed over');
    assert.ok(this.#grammar.next(this.#ids).includes(id), `${id} is not allowed after ${this.#ids}`);
    this.#ids.push(id);
    this.#numTaken++;
    this.#makeMask();
  }

  close(): void {
    assert.ok(!this.isClosed, 'closed twice');
    this.isClosed = true;
  }

  #makeMask(): void {
    this.#ticksLeft = this.#grammar.delay?.(this.#ids) ?? 0;
    if (this.endIds.includes(this.#ids.at(-1) ?? -1)) return;
    let allowed = this.#grammar.next(this.#ids);
    while (this.#grammar.runsAhead === true && allowed.length === 1 && !this.endIds.includes(this.#ids.at(-1) ?? -1)) {
      this.#ids.push(allowed[0]!);
      allowed = this.#grammar.next(this.#ids);
    }
    if (allowed.length === 0 && !this.endIds.includes(this.#ids.at(-1) ?? -1)) this.failure = 'the grammar allows no token here';
    this.mask.fill(0);
    for (const id of allowed) this.mask[id >> 5]! |= 1 << (id & 31);
  }
}
