/**
 * The KV cache in a device's own memory: a tensor for each row, layer and part, made when the row is first used and kept. Buffers of a
 * device cannot be cut or copied from here, so rows run one by one and no blocks are shared.
 */
import { assert, StartupError } from '../../core/errors.ts';
import type { KvOp } from '../step.ts';
import type { KvCache, KvShape } from './kv-cache.ts';
import type { Handle } from './ort-api.ts';
import { ELEMENT, type OrtSession } from './ort-session.ts';

export class DeviceKvStore implements KvCache {
  readonly shape: KvShape;
  readonly bytesPerBlock: number;
  readonly canCopyBlocks = false;
  readonly canBatchRows = false;
  readonly #computedTokens: Int32Array;
  #residentBytes = 0;

  /** @throws StartupError when the budget does not hold every row at full length. */
  constructor(shape: KvShape) {
    const { numLayers, numKvHeads, headDim, blockSize, capacity, maxNumSeqs, budgetBytes } = shape;
    this.shape = shape;
    this.bytesPerBlock = blockSize * numLayers * 2 * numKvHeads * headDim * Float32Array.BYTES_PER_ELEMENT;
    this.#computedTokens = new Int32Array(maxNumSeqs);
    const rowBytes = (capacity / blockSize) * this.bytesPerBlock;
    if (maxNumSeqs * rowBytes > budgetBytes) {
      const numFitting = Math.floor(budgetBytes / rowBytes);
      const remedy = numFitting > 0 ? `--max-num-seqs ${numFitting} fits; otherwise lower` : 'Lower';
      throw new StartupError(
        `On a GPU each sequence's KV cache is reserved at full length: --max-num-seqs ${maxNumSeqs} times ${rowBytes} bytes (${capacity} tokens) ` +
          `are ${maxNumSeqs * rowBytes}, and --kv-cache-memory-bytes is ${budgetBytes}. ${remedy} --max-model-len or raise --kv-cache-memory-bytes.`,
      );
    }
  }

  get residentBytes(): number {
    return this.#residentBytes;
  }

  createRowsTensor(session: OrtSession, _layer: number, _part: 0 | 1, slot: number, numRows: number): Handle {
    assert(numRows === 1, `row ${slot} is one tensor, ${numRows} rows wanted`);
    const { numKvHeads, capacity, headDim } = this.shape;
    this.#residentBytes += numKvHeads * capacity * headDim * Float32Array.BYTES_PER_ELEMENT;
    return session.deviceTensor([1, numKvHeads, capacity, headDim], ELEMENT.float32);
  }

  computedTokens(slot: number): number {
    return this.#computedTokens[slot]!;
  }

  advance(slot: number, numTokens: number): void {
    assert(numTokens <= this.shape.capacity, `row ${slot} holds ${this.shape.capacity} positions, ${numTokens} wanted`);
    this.#computedTokens[slot] = numTokens;
  }

  apply(op: KvOp): void {
    assert(op.type === 'release' || op.type === 'releaseBlocks', `${op.type} is not possible on this device`);
    if (op.type === 'release') this.#computedTokens[op.slot] = 0;
  }

  trim(): void {}

  free(): void {}
}
