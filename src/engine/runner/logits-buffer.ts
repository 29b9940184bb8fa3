/** Where runs write logits and hidden states: one buffer for a whole step, overwritten by the next. */
import { selectLargest } from '../select-largest.ts';
import type { SequenceResult, StepSequence } from '../step.ts';
import type { Handle } from './ort-api.ts';
import type { OrtSession } from './ort-session.ts';

/** Candidates that `needs: 'topK'` returns. */
const TOP_K = 64;

/** Rows of the buffer that a sequence's result takes. */
export function numLogitsOf(sequence: StepSequence): number {
  return sequence.needs === 'none' ? 0 : sequence.numLogits;
}

export class LogitsBuffer {
  readonly vocabSize: number;
  readonly #session: OrtSession;
  readonly #hiddenSize: number;
  #capacity = 0;
  #logits = new Float32Array(0);
  #hidden = new Float32Array(0);
  /** Tensors over the first n rows, for the decode batch; index n. */
  #logitTensors: Handle[] = [];
  #hiddenTensors: Handle[] = [];

  constructor(session: OrtSession, vocabSize: number, hiddenSize: number, initialRows: number) {
    this.#session = session;
    this.vocabSize = vocabSize;
    this.#hiddenSize = hiddenSize;
    this.reserve(initialRows);
  }

  /** Makes room for a step's rows and one spare (see `spareRow`); a larger buffer replaces the old one and its tensors. */
  reserve(numRows: number): void {
    if (numRows < this.#capacity) return;
    this.#releaseTensors();
    this.#capacity = Math.max(numRows + 1, Math.min(2 * this.#capacity, numRows + 1024));
    // Zeroed memory of this size is committed page by page, as it is written.
    this.#logits = new Float32Array(this.#capacity * this.vocabSize);
    this.#hidden = new Float32Array(this.#capacity * this.#hiddenSize);
  }

  /** A row that no result uses, for runs whose logits nobody wants. */
  get spareRow(): number {
    return this.#capacity - 1;
  }

  /** Tensors over the first `count` rows, kept for the next time. */
  leadingTensors(count: number): { readonly logits: Handle; readonly hidden: Handle } {
    this.#logitTensors[count] ??= this.logitsTensor(0, count);
    this.#hiddenTensors[count] ??= this.hiddenTensor(0, count);
    return { logits: this.#logitTensors[count], hidden: this.#hiddenTensors[count] };
  }

  /** [1, count, vocabSize] from `row` on; the caller releases it. */
  logitsTensor(row: number, count: number): Handle {
    return this.#session.tensorOver(this.#logits, row * this.vocabSize, [1, count, this.vocabSize]);
  }

  /** [1, count, hiddenSize] from `row` on; the caller releases it. */
  hiddenTensor(row: number, count: number): Handle {
    return this.#session.tensorOver(this.#hidden, row * this.#hiddenSize, [1, count, this.#hiddenSize]);
  }

  rows(row: number, count: number): Float32Array {
    return this.#logits.subarray(row * this.vocabSize, (row + count) * this.vocabSize);
  }

  hiddenRows(row: number, count: number): Float32Array {
    return this.#hidden.subarray(row * this.#hiddenSize, (row + count) * this.#hiddenSize);
  }

  /** The best token of each row, the lowest id of equals; −1 where the logits are not numbers that can be compared. */
  argmax(row: number, count: number): Int32Array {
    const best = new Int32Array(count);
    for (let i = 0; i < count; i++) best[i] = argmaxOf(this.#logits, (row + i) * this.vocabSize, this.vocabSize);
    return best;
  }

  /** The best TOP_K tokens of one row, best first; the lower id first among equals. */
  topK(row: number): SequenceResult {
    const logits = this.rows(row, 1);
    const tokenIds = selectLargest(logits, Math.min(TOP_K, this.vocabSize));
    return { type: 'topK', tokenIds, logits: Float32Array.from(tokenIds, (id) => logits[id]!) };
  }

  close(): void {
    this.#releaseTensors();
  }

  #releaseTensors(): void {
    for (const tensor of [...this.#logitTensors, ...this.#hiddenTensors]) if (tensor !== undefined) this.#session.releaseTensor(tensor);
    this.#logitTensors = [];
    this.#hiddenTensors = [];
  }
}

/** −1 where no token can be chosen: a NaN anywhere, +∞, or nothing above −∞. */
function argmaxOf(values: Float32Array, start: number, length: number): number {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (let i = start; i < start + length; i++) {
    const value = values[i]!;
    // One comparison for nearly every value; written so that NaN gets in too.
    if (!(value <= highest)) {
      if (Number.isNaN(value)) return -1;
      highest = value;
      best = i - start;
    }
  }
  return highest === Number.POSITIVE_INFINITY ? -1 : best;
}
