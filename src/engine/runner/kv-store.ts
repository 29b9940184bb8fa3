/**
 * The memory of the KV cache: rows that attention reads and writes in place, and the blocks of the prefix-cache pool.
 *
 *   rows, per layer, keys and values apart   [maxNumSeqs][numKvHeads][capacity][headDim]     float32
 *   pool                                     [block][layer][key, value][numKvHeads][blockSize][headDim]
 *
 * Both are lazily committed: the memory in use is what was written, rounded to pages. A released row keeps its pages for the next
 * sequence; when everything resident together exceeds the budget, dead rows and blocks give theirs back.
 */
import { assert } from '../../core/errors.ts';
import type { BlockLocation, KvOp } from '../step.ts';
import type { KvCache, KvShape } from './kv-cache.ts';
import { type LazyMemory, reserveLazyMemory } from './lazy-memory.ts';
import type { Handle } from './ort-api.ts';
import { ELEMENT, type OrtSession } from './ort-session.ts';

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

export class KvStore implements KvCache {
  readonly canCopyBlocks = true;
  readonly canBatchRows = true;
  readonly shape: KvShape;
  /** One row of one layer's keys (or values), in bytes. */
  readonly rowBytes: number;
  readonly bytesPerBlock: number;
  readonly #rows: LazyMemory;
  readonly #pool: LazyMemory | null;
  /** Per row: positions whose memory may be resident. */
  readonly #residentTokens: Int32Array;
  /** Per row: positions that hold a living sequence. 0 = free. */
  readonly #computedTokens: Int32Array;
  /** Per pool block: 0 = never written, 1 = in use, 2 = dead but resident. */
  readonly #blockStates: Uint8Array;
  #residentBytes = 0;

  constructor(shape: KvShape) {
    this.shape = shape;
    this.rowBytes = shape.numKvHeads * shape.capacity * shape.headDim * FLOAT_BYTES;
    this.bytesPerBlock = shape.blockSize * this.#bytesPerToken;
    this.#rows = reserveLazyMemory(shape.numLayers * 2 * shape.maxNumSeqs * this.rowBytes);
    this.#pool = shape.numPoolBlocks > 0 ? reserveLazyMemory(shape.numPoolBlocks * this.bytesPerBlock) : null;
    this.#residentTokens = new Int32Array(shape.maxNumSeqs);
    this.#computedTokens = new Int32Array(shape.maxNumSeqs);
    this.#blockStates = new Uint8Array(shape.numPoolBlocks);
  }

  get residentBytes(): number {
    return this.#residentBytes;
  }

  createRowsTensor(session: OrtSession, layer: number, part: 0 | 1, slot: number, numRows: number): Handle {
    const { numKvHeads, capacity, headDim } = this.shape;
    return session.tensor(this.#rowAddress(layer, part, slot), [numRows, numKvHeads, capacity, headDim], ELEMENT.float32);
  }

  computedTokens(slot: number): number {
    return this.#computedTokens[slot]!;
  }

  advance(slot: number, numTokens: number): void {
    assert(numTokens <= this.shape.capacity, `row ${slot} holds ${this.shape.capacity} positions, ${numTokens} wanted`);
    this.#computedTokens[slot] = numTokens;
    const grown = numTokens - this.#residentTokens[slot]!;
    if (grown > 0) {
      this.#residentTokens[slot] = numTokens;
      this.#residentBytes += grown * this.#bytesPerToken;
    }
  }

  apply(op: KvOp): void {
    switch (op.type) {
      case 'copyBlocks':
        for (const { from, to } of op.copies) this.#copyBlock(from, to);
        return;
      case 'moveRow':
        this.#moveRow(op.from, op.to, op.numTokens);
        return;
      case 'release':
        this.#computedTokens[op.slot] = 0;
        return;
      case 'releaseBlocks':
        for (const id of op.blockIds) if (this.#blockStates[id] === 1) this.#blockStates[id] = 2;
        return;
      default:
        op satisfies never;
    }
  }

  trim(): void {
    const { maxNumSeqs, numPoolBlocks, budgetBytes } = this.shape;
    for (let slot = maxNumSeqs - 1; slot >= 0 && this.#residentBytes > budgetBytes; slot--) {
      if (this.#computedTokens[slot] === 0 && this.#residentTokens[slot]! > 0) this.#discardRow(slot);
    }
    for (let id = numPoolBlocks - 1; id >= 0 && this.#residentBytes > budgetBytes; id--) {
      if (this.#blockStates[id] === 2) this.#discardBlock(id);
    }
  }

  free(): void {
    this.#rows.free();
    this.#pool?.free();
  }

  get #bytesPerToken(): number {
    const { numLayers, numKvHeads, headDim } = this.shape;
    return numLayers * 2 * numKvHeads * headDim * FLOAT_BYTES;
  }

  #rowAddress(layer: number, part: 0 | 1, slot: number): number {
    return this.#rows.address + ((layer * 2 + part) * this.shape.maxNumSeqs + slot) * this.rowBytes;
  }

  #blockAddress(id: number): number {
    return this.#pool!.address + id * this.bytesPerBlock;
  }

  #copyBlock(from: BlockLocation, to: BlockLocation): void {
    if (to.type === 'row') this.advance(to.slot, Math.max((to.blockIndex + 1) * this.shape.blockSize, this.#computedTokens[to.slot]!));
    else this.#useBlock(to.blockId);
    if (from.type === 'pool' && to.type === 'pool') {
      this.#rows.copy(this.#blockAddress(to.blockId), this.#blockAddress(from.blockId), this.bytesPerBlock);
      return;
    }
    const pieceBytes = this.shape.blockSize * this.shape.headDim * FLOAT_BYTES;
    const source = this.#pieceAddresses(from, pieceBytes);
    const target = this.#pieceAddresses(to, pieceBytes);
    for (let i = 0; i < source.length; i++) this.#rows.copy(target[i]!, source[i]!, pieceBytes);
  }

  /** Where a block's piece of each layer, part and head begins, in the pool's order. */
  #pieceAddresses(at: BlockLocation, pieceBytes: number): Float64Array {
    if (at.type === 'row') return this.#headAddresses(at.slot).map((address) => address + at.blockIndex * pieceBytes);
    const { numLayers, numKvHeads } = this.shape;
    return Float64Array.from({ length: numLayers * 2 * numKvHeads }, (_, i) => this.#blockAddress(at.blockId) + i * pieceBytes);
  }

  #moveRow(from: number, to: number, numTokens: number): void {
    const numBytes = numTokens * this.shape.headDim * FLOAT_BYTES;
    this.advance(to, numTokens);
    const source = this.#headAddresses(from);
    const target = this.#headAddresses(to);
    for (let i = 0; i < source.length; i++) this.#rows.copy(target[i]!, source[i]!, numBytes);
    this.#computedTokens[from] = 0;
  }

  /** Where a row's memory of each layer, part and head begins. */
  #headAddresses(slot: number): Float64Array {
    const { numLayers, numKvHeads, capacity, headDim } = this.shape;
    const addresses = new Float64Array(numLayers * 2 * numKvHeads);
    for (let i = 0; i < addresses.length; i++) {
      const layerAndPart = Math.floor(i / numKvHeads);
      const head = i % numKvHeads;
      addresses[i] = this.#rowAddress(layerAndPart >> 1, (layerAndPart & 1) as 0 | 1, slot) + head * capacity * headDim * FLOAT_BYTES;
    }
    return addresses;
  }

  #useBlock(id: number): void {
    if (this.#blockStates[id] === 0) this.#residentBytes += this.bytesPerBlock;
    this.#blockStates[id] = 1;
  }

  #discardRow(slot: number): void {
    const tokens = this.#residentTokens[slot]!;
    const numBytes = tokens * this.shape.headDim * FLOAT_BYTES;
    for (const address of this.#headAddresses(slot)) this.#rows.discard(address, numBytes);
    this.#residentBytes -= tokens * this.#bytesPerToken;
    this.#residentTokens[slot] = 0;
  }

  #discardBlock(id: number): void {
    this.#pool!.discard(this.#blockAddress(id), this.bytesPerBlock);
    this.#residentBytes -= this.bytesPerBlock;
    this.#blockStates[id] = 0;
  }
}
