/** The KV cache as the runner sees it, wherever it lies: kv-store.ts (main memory) or device-kv-store.ts (a GPU's). */
import type { KvOp } from '../step.ts';
import type { Handle } from './ort-api.ts';
import type { OrtSession } from './ort-session.ts';

/** What the runner needs of the KV cache, wherever it lies. */
export interface KvCache {
  readonly shape: KvShape;
  readonly bytesPerBlock: number;
  /** Whether `copyBlocks` and `moveRow` are possible. */
  readonly canCopyBlocks: boolean;
  /** Whether neighbouring rows can be one tensor, so that a decode batch is one run. */
  readonly canBatchRows: boolean;
  /** Upper bound of the memory that is committed. */
  readonly residentBytes: number;
  /** Keys (part 0) or values (part 1) of rows `slot` … `slot + numRows - 1` in one layer; the caller releases it. */
  createRowsTensor(session: OrtSession, layer: number, part: 0 | 1, slot: number, numRows: number): Handle;
  /** Positions of the row's living sequence; a decode batch writes the garbage of a hole there, where it will be overwritten. */
  computedTokens(slot: number): number;
  /** Notes that positions up to `numTokens` of a row are now written. */
  advance(slot: number, numTokens: number): void;
  apply(op: KvOp): void;
  /** Gives dead memory back until what is resident fits the budget again. Cheap when it does. */
  trim(): void;
  free(): void;
}

export interface KvShape {
  readonly numLayers: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly maxNumSeqs: number;
  /** Positions a row can hold. */
  readonly capacity: number;
  readonly blockSize: number;
  readonly numPoolBlocks: number;
  /** Resident bytes above which dead memory is given back. */
  readonly budgetBytes: number;
}
