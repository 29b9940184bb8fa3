/** The cells of a grammar host: which there are, and which of them a job is given to. */
import type { Cell, Job } from './grammar-jobs.ts';

/** Matchers with which a cell is busy enough for another one to be used. */
const CROWD = 8;

export class GrammarCells {
  readonly #maxCells: number;
  readonly #byIndex = new Map<number, Cell>();

  constructor(maxCells: number) {
    this.#maxCells = maxCells;
  }

  get size(): number {
    return this.#byIndex.size;
  }

  /** A copy: cells may end while it is read. */
  all(): Cell[] {
    return [...this.#byIndex.values()];
  }

  /** Whether this very cell has not been ended. */
  has(cell: Cell): boolean {
    return this.#byIndex.get(cell.index) === cell;
  }

  get freeIndex(): number {
    let index = 0;
    while (this.#byIndex.has(index)) index++;
    return index;
  }

  add(cell: Cell): void {
    this.#byIndex.set(cell.index, cell);
  }

  delete(cell: Cell): void {
    this.#byIndex.delete(cell.index);
  }

  /** Matchers of requests that are not over. */
  get numMatchers(): number {
    let count = 0;
    for (const cell of this.#byIndex.values()) for (const { memory } of cell.matchers.values()) if (memory.turn !== 'closed') count++;
    return count;
  }

  /** Whether a cell has matchers of requests that are not over. */
  get hasServing(): boolean {
    return this.all().some((cell) => !isEmpty(cell));
  }

  /** Whether no cell is empty or about to be, and there may be another. */
  get wantsReserve(): boolean {
    if (this.size >= this.#maxCells) return false;
    return this.all().every((cell) => cell.isReady && (cell.current !== null || !isEmpty(cell)));
  }

  /**
   * A serving cell that knows the text; else an empty one, to compile in. What compiled quickly there joins the serving cell with the fewest
   * matchers, so that a cell stays empty. What was slow stays where it was compiled; where that is the last empty cell there can be, it goes
   * to others of its kind, which it holds up while it is compiled again.
   */
  cellFor({ text, isQuick }: Job): Cell | null {
    const free = this.all().filter((cell) => cell.isReady && !cell.current);
    const serving = free.filter((cell) => !isEmpty(cell)).sort((a, b) => a.matchers.size - b.matchers.size);
    const empty = free.filter(isEmpty).sort((a, b) => Number(b.texts.has(text)) - Number(a.texts.has(text)));
    const knowing = serving.find((cell) => cell.texts.has(text));
    if (knowing || isQuick === null) return knowing ?? empty[0] ?? null;
    const spare = this.#isLastEmpty ? null : (empty[0] ?? null);
    const [idlest] = serving.filter((cell) => isSlow(cell) !== isQuick);
    if (!isQuick) return spare ?? idlest ?? serving[0] ?? null;
    return idlest && (idlest.matchers.size < CROWD || !spare) ? idlest : (spare ?? serving[0] ?? empty[0] ?? null);
  }

  /** Whether there is only one cell without matchers, and no room for another. */
  get #isLastEmpty(): boolean {
    return this.size >= this.#maxCells && this.all().filter(isEmpty).length <= 1;
  }
}

export function isEmpty(cell: Cell): boolean {
  for (const { memory } of cell.matchers.values()) if (memory.turn !== 'closed') return false;
  return true;
}

/** Whether a text is served there whose compilation would hold up others. */
function isSlow(cell: Cell): boolean {
  for (const { memory, isSlow } of cell.matchers.values()) if (isSlow && memory.turn !== 'closed') return true;
  return false;
}
