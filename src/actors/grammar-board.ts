/**
 * What all grammar cells, the rank and the host's watch share: for each cell a wake counter, and what it is doing. Written by the cell,
 * except the counter. An odd number of operations means that it is in the middle of one.
 */
const WAKE = 0;
const NUM_OPERATIONS = 1;
const MATCHER = 2;
const NUM_MATCHERS = 3;
const WORDS = 4;

export class CellBoard {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  static create(numCells: number): CellBoard {
    return new CellBoard(new SharedArrayBuffer(numCells * WORDS * Int32Array.BYTES_PER_ELEMENT));
  }

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** A cell of this number starts. */
  reset(cell: number): void {
    for (let word = 0; word < WORDS; word++) Atomics.store(this.#words, cell * WORDS + word, 0);
  }

  wake(cell: number): void {
    Atomics.add(this.#words, cell * WORDS + WAKE, 1);
    Atomics.notify(this.#words, cell * WORDS + WAKE);
  }

  numWakes(cell: number): number {
    return Atomics.load(this.#words, cell * WORDS + WAKE);
  }

  /** Returns at once when the cell was woken since it counted `seen`. */
  sleep(cell: number, seen: number): void {
    Atomics.wait(this.#words, cell * WORDS + WAKE, seen);
  }

  /** An operation that may take too long. @param matcher for whom; 0 = a compilation. */
  begin(cell: number, matcher: number): void {
    Atomics.store(this.#words, cell * WORDS + MATCHER, matcher);
    Atomics.add(this.#words, cell * WORDS + NUM_OPERATIONS, 1);
  }

  end(cell: number): void {
    Atomics.add(this.#words, cell * WORDS + NUM_OPERATIONS, 1);
  }

  /** The operation that it is in the middle of, as a number that is never used twice; null = none. */
  operation(cell: number): number | null {
    const count = Atomics.load(this.#words, cell * WORDS + NUM_OPERATIONS);
    return count % 2 === 0 ? null : count;
  }

  /** For whom the cell works, or last worked; 0 = nobody. */
  matcher(cell: number): number {
    return Atomics.load(this.#words, cell * WORDS + MATCHER);
  }

  setNumMatchers(cell: number, count: number): void {
    Atomics.store(this.#words, cell * WORDS + NUM_MATCHERS, count);
  }

  /** Matchers that live in it. */
  numMatchers(cell: number): number {
    return Atomics.load(this.#words, cell * WORDS + NUM_MATCHERS);
  }
}
