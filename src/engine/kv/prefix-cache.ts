/**
 * Which full blocks exist, by hash, and where: in the rows of running sequences (holders), in the pool, or both. A new sequence copies
 * what it shares instead of computing it. When a sequence leaves its row, the blocks that nobody else holds go to the pool, so that a
 * prefix outlives its request.
 *
 * Age: blocks of one sequence are used deepest first, so that a parent is always younger than its children in the pool: eviction
 * of the oldest shortens chains from their ends and never cuts one in the middle.
 */

import { type BlockHash, blockHash, rootHash } from '../../core/block-hash.ts';
import { assert } from '../../core/errors.ts';
import type { Sequence } from '../sequence.ts';
import type { BlockLocation } from '../step.ts';
import { BlockPool } from './block-pool.ts';
import { type KvChanges, KvEventLog } from './kv-events.ts';

interface CachedBlock {
  readonly hash: BlockHash;
  /** Its place in the pool, or null. */
  poolId: number | null;
  /** Running sequences whose row holds it; their block index is its depth in the chain. */
  readonly holders: Sequence[];
}

export interface BlockCopy {
  readonly from: BlockLocation;
  readonly to: BlockLocation;
}

export class PrefixCache {
  readonly #fingerprint: string;
  readonly #blockSize: number;
  readonly #pool: BlockPool;
  readonly #byHash = new Map<BlockHash, CachedBlock>();
  readonly #byPoolId: (CachedBlock | null)[];
  /** Pool blocks whose content died since the last `takeDeadBlocks`. */
  readonly #dead = new Set<number>();
  readonly #events = new KvEventLog();

  constructor(options: { readonly fingerprint: string; readonly blockSize: number; readonly numPoolBlocks: number }) {
    this.#fingerprint = options.fingerprint;
    this.#blockSize = options.blockSize;
    this.#pool = new BlockPool(options.numPoolBlocks);
    this.#byPoolId = new Array<CachedBlock | null>(options.numPoolBlocks).fill(null);
  }

  /** Blocks in the pool. */
  get numCachedBlocks(): number {
    return this.#pool.numHeld;
  }

  /**
   * How many of the sequence's first blocks exist somewhere. Never all of its tokens: what is read from logits must be computed.
   */
  match(sequence: Sequence): number {
    const maxBlocks = Math.floor(sequence.numSkippable / this.#blockSize);
    let numMatched = 0;
    while (numMatched < maxBlocks && this.#byHash.has(this.#hashOf(sequence, numMatched))) numMatched++;
    return numMatched;
  }

  /**
   * Makes the sequence a holder of its first `numMatched` blocks.
   * @returns the copies that bring them into its row; they must run before anything else changes the cache.
   */
  share(sequence: Sequence, numMatched: number): BlockCopy[] {
    const copies: BlockCopy[] = [];
    for (let index = numMatched - 1; index >= 0; index--) {
      const block = this.#byHash.get(this.#hashOf(sequence, index));
      assert(block, `block ${index} of ${sequence.request.key} left the prefix cache between match and share`);
      if (block.poolId !== null) this.#pool.touch(block.poolId);
      copies.push({ from: locationOf(block, index), to: { type: 'row', slot: sequence.slot!, blockIndex: index } });
      block.holders.push(sequence);
    }
    sequence.numRegistered = numMatched;
    return copies.reverse();
  }

  /** Makes known the full blocks that the sequence has computed since the last call. */
  register(sequence: Sequence): void {
    const numFull = Math.floor(sequence.numComputed / this.#blockSize);
    while (sequence.numRegistered < numFull) {
      const index = sequence.numRegistered++;
      const hash = this.#hashOf(sequence, index);
      const block = this.#byHash.get(hash);
      if (block) {
        block.holders.push(sequence);
      } else {
        this.#byHash.set(hash, { hash, poolId: null, holders: [sequence] });
        this.#events.noteStored(hash, this.#parentOf(sequence, index));
      }
    }
  }

  /**
   * The sequence leaves its row: forgets it as a holder.
   * @param keep whether blocks that only it holds go to the pool; false when their content cannot be trusted.
   * @returns the copies from its row to the pool; they must run before the row is released.
   */
  leave(sequence: Sequence, keep: boolean): BlockCopy[] {
    const copies: BlockCopy[] = [];
    for (let index = sequence.numRegistered - 1; index >= 0; index--) {
      const block = this.#byHash.get(sequence.blockHashes[index]!);
      assert(block, `block ${index} of ${sequence.request.key} is not in the prefix cache`);
      block.holders.splice(block.holders.indexOf(sequence), 1);
      if (block.poolId !== null) {
        this.#pool.touch(block.poolId);
      } else if (block.holders.length === 0) {
        if (keep && this.#makeRoomInPool()) {
          copies.push({ from: { type: 'row', slot: sequence.slot!, blockIndex: index }, to: this.#placeInPool(block) });
        } else {
          this.#forget(block);
        }
      }
    }
    sequence.numRegistered = 0;
    return copies;
  }

  /** Drops the oldest block of the pool; false when it is empty. */
  evictOldest(): boolean {
    const poolId = this.#pool.oldest;
    if (poolId === null) return false;
    const block = this.#byPoolId[poolId];
    assert(block, `pool block ${poolId} has no hash`);
    this.#pool.free(poolId);
    this.#byPoolId[poolId] = null;
    this.#dead.add(poolId);
    block.poolId = null;
    if (block.holders.length === 0) this.#forget(block);
    return true;
  }

  /** Pool blocks that were evicted since the last call and not filled again. */
  takeDeadBlocks(): number[] {
    const dead = [...this.#dead];
    this.#dead.clear();
    return dead;
  }

  /** Blocks that came and went since the last call; null when none did. */
  takeEvents(): KvChanges | null {
    return this.#events.take();
  }

  /** Every block that a new sequence would find. */
  hashes(): Iterable<BlockHash> {
    return this.#byHash.keys();
  }

  /** @throws Error with the numbers when index, pool and holders disagree. */
  assertIntegrity(running: readonly Sequence[]): void {
    let numInPool = 0;
    let numHolders = 0;
    for (const block of this.#byHash.values()) {
      if (block.poolId !== null) {
        numInPool++;
        assert(
          this.#byPoolId[block.poolId] === block && this.#pool.isHeld(block.poolId),
          `pool block ${block.poolId} is not what ${block.hash} says`,
        );
      }
      assert(block.poolId !== null || block.holders.length > 0, `block ${block.hash} is in the index but nowhere else`);
      numHolders += block.holders.length;
    }
    assert(numInPool === this.#pool.numHeld, `${numInPool} indexed pool blocks, but ${this.#pool.numHeld} held`);
    const numRegistered = running.reduce((sum, sequence) => sum + sequence.numRegistered, 0);
    assert(
      numHolders === numRegistered,
      `${numHolders} holders of blocks, but ${numRegistered} blocks registered by ${running.length} sequences`,
    );
  }

  /** True when there is a free pool block, if need be the oldest one's. */
  #makeRoomInPool(): boolean {
    return this.#pool.numHeld < this.#pool.numBlocks || this.evictOldest();
  }

  #placeInPool(block: CachedBlock): BlockLocation {
    const blockId = this.#pool.allocate();
    this.#dead.delete(blockId);
    this.#byPoolId[blockId] = block;
    block.poolId = blockId;
    return { type: 'pool', blockId };
  }

  #hashOf(sequence: Sequence, index: number): BlockHash {
    const hashes = sequence.blockHashes;
    for (let next = hashes.length; next <= index; next++) {
      hashes.push(blockHash(this.#parentOf(sequence, next), sequence.tokenIds, next * this.#blockSize, (next + 1) * this.#blockSize));
    }
    return hashes[index]!;
  }

  /** Of a block whose predecessors are hashed already. */
  #parentOf(sequence: Sequence, index: number): BlockHash {
    return sequence.blockHashes[index - 1] ?? rootHash(this.#fingerprint, sequence.request.cacheSalt);
  }

  /** Nobody holds it any more. */
  #forget(block: CachedBlock): void {
    this.#byHash.delete(block.hash);
    this.#events.noteRemoved(block.hash);
  }
}

/** A live row is as good as the pool; the pool comes first because its copy was made to be read. */
function locationOf(block: CachedBlock, index: number): BlockLocation {
  if (block.poolId !== null) return { type: 'pool', blockId: block.poolId };
  const holder = block.holders[0];
  assert(holder && holder.slot !== null, `block ${block.hash} is nowhere`);
  return { type: 'row', slot: holder.slot, blockIndex: index };
}
