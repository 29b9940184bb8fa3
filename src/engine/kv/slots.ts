/**
 * The rows of the KV cache: who has which. Decode computes the rows 0 … highest in one batch, so the lowest free row is always given
 * out first.
 */
import { assert } from '../../core/errors.ts';
import { type Slot, slot } from '../../core/ids.ts';
import type { Sequence } from '../sequence.ts';

export class Slots {
  readonly #occupants: (Sequence | null)[];
  #numOccupied = 0;

  constructor(numSlots: number) {
    this.#occupants = new Array<Sequence | null>(numSlots).fill(null);
  }

  get numFree(): number {
    return this.#occupants.length - this.#numOccupied;
  }

  get numOccupied(): number {
    return this.#numOccupied;
  }

  /** Gives the sequence the lowest free row. */
  allocate(sequence: Sequence): void {
    const lowest = this.lowestFree();
    assert(lowest !== null, `no free row among ${this.#occupants.length}`);
    this.#occupants[lowest] = sequence;
    this.#numOccupied++;
    sequence.slot = lowest;
  }

  /** Takes the sequence's row back. */
  release(sequence: Sequence): void {
    assert(sequence.slot !== null && this.#occupants[sequence.slot] === sequence, `row ${sequence.slot} is not ${sequence.request.key}'s`);
    this.#occupants[sequence.slot] = null;
    this.#numOccupied--;
    sequence.slot = null;
  }

  /** Gives the sequence the row `to` instead of its own. */
  move(sequence: Sequence, to: Slot): void {
    assert(this.#occupants[to] === null, `row ${to} is taken`);
    this.#occupants[sequence.slot!] = null;
    this.#occupants[to] = sequence;
    sequence.slot = to;
  }

  lowestFree(): Slot | null {
    const index = this.#occupants.indexOf(null);
    return index < 0 ? null : slot(index);
  }

  /** The occupant of the highest row in use. */
  highest(): Sequence | null {
    for (let index = this.#occupants.length - 1; index >= 0; index--) {
      const occupant = this.#occupants[index];
      if (occupant) return occupant;
    }
    return null;
  }
}
