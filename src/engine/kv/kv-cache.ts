/**
 * The engine's account of the KV cache: rows and blocks. It never touches a key or value: it collects the operations that the runner
 * applies before the next step, in the order in which they were decided.
 *
 *   numBlocks = used (rows of running sequences, rounded up to blocks) + cached (pool, evictable) + free
 *
 * The budget counts what is resident after a step. Within one list of operations a block may exist twice (copied, its source not yet
 * released); rows and pool have room for that.
 */
import type { BlockHash } from '../../core/block-hash.ts';
import { assert } from '../../core/errors.ts';
import type { Sequence } from '../sequence.ts';
import type { KvOp } from '../step.ts';
import type { KvChanges } from './kv-events.ts';
import { type BlockCopy, PrefixCache } from './prefix-cache.ts';
import { Slots } from './slots.ts';

/** Rows are moved together when at least this part of the decode batch would be computed for nobody. */
const MAX_HOLES_PART = 1 / 4;

export interface KvCacheOptions {
  readonly numRows: number;
  readonly numBlocks: number;
  /** Pool blocks of the runner, ids 0 … numPoolBlocks - 1; 0 = no prefix cache. */
  readonly numPoolBlocks: number;
  readonly blockSize: number;
  readonly canMoveRows: boolean;
  readonly fingerprint: string;
}

export class KvCache {
  readonly blockSize: number;
  readonly numBlocks: number;
  readonly #prefixes: PrefixCache | null;
  readonly #slots: Slots;
  readonly #canMoveRows: boolean;
  #ops: KvOp[] = [];
  #numUsedBlocks = 0;

  constructor(options: KvCacheOptions) {
    this.blockSize = options.blockSize;
    this.numBlocks = options.numBlocks;
    this.#slots = new Slots(options.numRows);
    this.#prefixes = options.numPoolBlocks > 0 ? new PrefixCache(options) : null;
    this.#canMoveRows = options.canMoveRows;
  }

  get sharesPrefixes(): boolean {
    return this.#prefixes !== null;
  }

  get numFreeRows(): number {
    return this.#slots.numFree;
  }

  get numUsedBlocks(): number {
    return this.#numUsedBlocks;
  }

  get numCachedBlocks(): number {
    return this.#prefixes?.numCachedBlocks ?? 0;
  }

  /** Free blocks, and those that eviction frees. */
  get numAvailableBlocks(): number {
    return this.numBlocks - this.#numUsedBlocks;
  }

  get hasPendingOps(): boolean {
    return this.#ops.length > 0;
  }

  blocksFor(numTokens: number): number {
    return Math.ceil(numTokens / this.blockSize);
  }

  /** Tokens at the start of the sequence that `admit` would take from the prefix cache. */
  matchedTokens(sequence: Sequence): number {
    return (this.#prefixes?.match(sequence) ?? 0) * this.blockSize;
  }

  /** Gives the sequence the lowest free row, with its cached prefix already computed. The caller has seen that the blocks are available. */
  admit(sequence: Sequence): void {
    this.#slots.allocate(sequence);
    const numMatched = this.#prefixes?.match(sequence) ?? 0;
    if (numMatched === 0) return;
    // The copies are on the list before their sources may be evicted to make room for them.
    this.#copy(this.#prefixes!.share(sequence, numMatched));
    assert(this.reserve(sequence, numMatched * this.blockSize), `${numMatched} blocks for ${sequence.request.key} are not available`);
    sequence.numComputed = numMatched * this.blockSize;
  }

  /** Accounts for a row of `numTokens` tokens, evicting cached blocks as needed. False, and nothing changed, when there are not enough. */
  reserve(sequence: Sequence, numTokens: number): boolean {
    const numNew = this.blocksFor(numTokens) - sequence.numBlocks;
    if (numNew <= 0) return true;
    if (numNew > this.numAvailableBlocks) return false;
    this.#numUsedBlocks += numNew;
    sequence.numBlocks += numNew;
    while (this.#numUsedBlocks + this.numCachedBlocks > this.numBlocks) this.#prefixes!.evictOldest();
    return true;
  }

  /** After a step: full blocks can be shared from now on. */
  commit(sequence: Sequence): void {
    this.#prefixes?.register(sequence);
  }

  /**
   * Takes back everything the sequence holds.
   * @param keep whether its full blocks stay in the pool.
   */
  release(sequence: Sequence, keep: boolean): void {
    this.#numUsedBlocks -= sequence.numBlocks;
    sequence.numBlocks = 0;
    if (this.#prefixes) this.#copy(this.#prefixes.leave(sequence, keep));
    this.#ops.push({ type: 'release', slot: sequence.slot! });
    this.#slots.release(sequence);
    sequence.numComputed = 0;
  }

  /**
   * Moves the highest row into the lowest hole when holes are at least a quarter of the rows up to the highest. One a step: a move
   * costs a copy of the row, a hole a row of every decode step.
   */
  compact(): void {
    const highest = this.#slots.highest();
    const hole = this.#slots.lowestFree();
    if (!this.#canMoveRows || highest === null || hole === null) return;
    const span = highest.slot! + 1;
    const numHoles = span - this.#slots.numOccupied;
    if (numHoles === 0 || numHoles < span * MAX_HOLES_PART) return;
    const from = highest.slot!;
    if (highest.numComputed > 0) {
      this.#ops.push({ type: 'moveRow', from, to: hole, numTokens: highest.numComputed }, { type: 'release', slot: from });
    }
    this.#slots.move(highest, hole);
  }

  /** The operations since the last call, for the next step. */
  takeOps(): KvOp[] {
    const ops = this.#ops;
    this.#ops = [];
    const dead = this.#prefixes?.takeDeadBlocks() ?? [];
    if (dead.length > 0) ops.push({ type: 'releaseBlocks', blockIds: dead });
    return ops;
  }

  /** What came to and went from the prefix cache since the last call; null when nothing did. */
  takeEvents(): KvChanges | null {
    return this.#prefixes?.takeEvents() ?? null;
  }

  /** Blocks that a new sequence would find. */
  cachedHashes(): Iterable<BlockHash> {
    return this.#prefixes?.hashes() ?? [];
  }

  /** Counts everything again. @throws Error with the numbers */
  assertIntegrity(running: readonly Sequence[]): void {
    let numUsed = 0;
    for (const sequence of running) {
      numUsed += sequence.numBlocks;
      const numNeeded = this.blocksFor(sequence.numComputed);
      assert(sequence.numBlocks >= numNeeded, `${sequence.request.key} has ${sequence.numBlocks} blocks and needs ${numNeeded}`);
    }
    const numFree = this.numBlocks - numUsed - this.numCachedBlocks;
    assert(numUsed === this.#numUsedBlocks, `running sequences use ${numUsed} blocks, the account says ${this.#numUsedBlocks}`);
    assert(numFree >= 0, `${numUsed} used and ${this.numCachedBlocks} cached blocks exceed the budget of ${this.numBlocks}`);
    assert(running.length === this.#slots.numOccupied, `${running.length} sequences run in ${this.#slots.numOccupied} rows`);
    this.#prefixes?.assertIntegrity(running);
  }

  #copy(copies: BlockCopy[]): void {
    if (copies.length > 0) this.#ops.push({ type: 'copyBlocks', copies });
  }
}
