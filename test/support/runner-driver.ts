/** Drives a ModelRunner by hand, row by row: what the engine does, without its decisions. */

import { slot } from '../../src/core/ids.ts';
import { type CreatedRunner, createRunner, type RunnerSpec } from '../../src/engine/runner/create-runner.ts';
import type { ModelRunner } from '../../src/engine/runner/model-runner.ts';
import type { KvOp, Needs, SequenceResult, StepSequence } from '../../src/engine/step.ts';

/** Tokens to compute next in one row. */
export interface RowWork {
  readonly slot: number;
  readonly tokenIds: ArrayLike<number>;
  readonly needs: Needs;
  readonly numLogits: number;
}

export function createTestRunner(spec: Partial<RunnerSpec> & { modelDir: string }): CreatedRunner {
  return createRunner({
    quantization: 'none',
    device: 'cpu',
    threads: 2,
    layout: { maxNumSeqs: 32, maxModelLen: 512, blockSize: 16 },
    kvCacheMemoryBytes: 64 * 2 ** 20,
    maxNumBatchedTokens: 1024,
    ...spec,
  });
}

export class RunnerDriver {
  readonly runner: ModelRunner;
  readonly #computed = new Map<number, number>();
  #stepId = 0;

  constructor(runner: ModelRunner) {
    this.runner = runner;
  }

  /** One step. Results are copies, in the order of `work`. */
  step(work: readonly RowWork[], options: { kvOps?: readonly KvOp[]; wantsHidden?: boolean } = {}): SequenceResult[] {
    const sequences: StepSequence[] = [];
    const tokenIds: number[] = [];
    for (const row of work) {
      const { tokenIds: ids, needs, numLogits } = row;
      const numComputed = this.#computed.get(row.slot) ?? 0;
      const shape = { slot: slot(row.slot), start: tokenIds.length, numTokens: ids.length, numComputed };
      sequences.push({ ...shape, draftTokens: [], needs, numLogits });
      tokenIds.push(...Array.from(ids));
      this.#computed.set(row.slot, numComputed + ids.length);
    }
    const ticket = this.runner.submit({
      groupEpoch: [1, 1],
      stepId: ++this.#stepId,
      kvOps: options.kvOps ?? [],
      tokenIds: Int32Array.from(tokenIds),
      sequences,
      wantsHidden: options.wantsHidden ?? false,
    });
    return this.runner.collect(ticket).results.map(copied);
  }

  /** Says how many positions a row holds after kvOps changed it. */
  setComputed(row: number, numTokens: number): void {
    this.#computed.set(row, numTokens);
  }

  /** Empties a row. */
  release(row: number): void {
    this.step([], { kvOps: [{ type: 'release', slot: slot(row) }] });
    this.#computed.delete(row);
  }

  /** Prefills a row in chunks and returns logits and hidden states of every position. */
  prefill(row: number, tokenIds: Int32Array, chunk = tokenIds.length): { logits: Float32Array; hidden: Float32Array } {
    const logits: number[] = [];
    const hidden: number[] = [];
    for (let begin = 0; begin < tokenIds.length; begin += chunk) {
      const ids = tokenIds.subarray(begin, begin + chunk);
      const [result] = this.step([{ slot: row, tokenIds: ids, needs: 'full', numLogits: ids.length }], { wantsHidden: true });
      if (result?.type !== 'full' || result.hidden === undefined) throw new Error('full logits and hidden states were asked for');
      for (const value of result.logits) logits.push(value);
      for (const value of result.hidden) hidden.push(value);
    }
    return { logits: Float32Array.from(logits), hidden: Float32Array.from(hidden) };
  }

  /** Prefills a row and continues greedily. */
  greedy(row: number, promptIds: ArrayLike<number>, numTokens: number): number[] {
    const output: number[] = [];
    let next: ArrayLike<number> = promptIds;
    while (output.length < numTokens) {
      const [result] = this.step([{ slot: row, tokenIds: next, needs: 'argmax', numLogits: 1 }]);
      if (result?.type !== 'argmax') throw new Error('argmax was asked for');
      output.push(result.tokenIds[0]!);
      next = [output.at(-1)!];
    }
    return output;
  }
}

function copied(result: SequenceResult): SequenceResult {
  if (result.type === 'full') {
    return { type: 'full', logits: result.logits.slice(), ...(result.hidden !== undefined && { hidden: result.hidden.slice() }) };
  }
  return result;
}

/** The largest absolute difference of two arrays of equal length; NaN anywhere gives Infinity. */
export function maxAbsoluteDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`${a.length} values cannot be compared with ${b.length}`);
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return largest;
}
