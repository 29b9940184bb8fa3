/**
 * The ids of the prefix-cache pool, oldest first. A doubly linked list over ids keeps the order: to use a block again moves it to the
 * young end.
 *
 *   oldest ⇄ … ⇄ youngest          free ids: a stack, so that the pool stays dense at the low end
 */
import { assert } from '../../core/errors.ts';

const NONE = -1;

export class BlockPool {
  readonly numBlocks: number;
  readonly #older: Int32Array;
  readonly #younger: Int32Array;
  readonly #isHeld: Uint8Array;
  readonly #free: number[] = [];
  #oldest = NONE;
  #youngest = NONE;

  constructor(numBlocks: number) {
    this.numBlocks = numBlocks;
    this.#older = new Int32Array(numBlocks).fill(NONE);
    this.#younger = new Int32Array(numBlocks).fill(NONE);
    this.#isHeld = new Uint8Array(numBlocks);
    for (let id = numBlocks - 1; id >= 0; id--) this.#free.push(id);
  }

  get numHeld(): number {
    return this.numBlocks - this.#free.length;
  }

  /** The block that was not used for the longest time, or null when the pool is empty. */
  get oldest(): number | null {
    return this.#oldest === NONE ? null : this.#oldest;
  }

  isHeld(blockId: number): boolean {
    return this.#isHeld[blockId] === 1;
  }

  /** A free block, as the youngest. */
  allocate(): number {
    const blockId = this.#free.pop();
    assert(blockId !== undefined, `all ${this.numBlocks} blocks of the prefix-cache pool are held`);
    this.#isHeld[blockId] = 1;
    this.#append(blockId);
    return blockId;
  }

  /** Makes the block the youngest. */
  touch(blockId: number): void {
    this.#unlink(blockId);
    this.#append(blockId);
  }

  free(blockId: number): void {
    assert(this.#isHeld[blockId] === 1, `block ${blockId} is freed twice`);
    this.#unlink(blockId);
    this.#isHeld[blockId] = 0;
    this.#free.push(blockId);
  }

  #append(blockId: number): void {
    this.#older[blockId] = this.#youngest;
    this.#younger[blockId] = NONE;
    if (this.#youngest === NONE) this.#oldest = blockId;
    else this.#younger[this.#youngest] = blockId;
    this.#youngest = blockId;
  }

  #unlink(blockId: number): void {
    const older = this.#older[blockId]!;
    const younger = this.#younger[blockId]!;
    if (older === NONE) this.#oldest = younger;
    else this.#younger[older] = younger;
    if (younger === NONE) this.#youngest = older;
    else this.#older[younger] = older;
  }
}
