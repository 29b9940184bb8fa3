/**
 * A ModelRunner that keeps what the model computes at every position, by the tokens that stand before it. The engine gets the answers
 * it asked for. Which tokens a row holds is followed through the steps and their KV operations.
 */
import assert from 'node:assert/strict';
import type { ModelRunner, StepTicket } from '../../src/engine/runner/model-runner.ts';
import type { BlockLocation, KvOp, SequenceResult, StepInput, StepOutput } from '../../src/engine/step.ts';

export interface ComputedPosition {
  readonly logits: Float32Array;
  /** Output of the final norm. */
  readonly hidden: Float32Array;
}

export class WatchedRunner implements ModelRunner {
  /** By the ids of the context, joined by commas; several where the same context was computed again. */
  readonly computed = new Map<string, ComputedPosition[]>();
  readonly #runner: ModelRunner;
  readonly #blockSize: number;
  /** Tokens whose keys and values lie in a row or a pool block. */
  readonly #rows = new Map<number, number[]>();
  readonly #pool = new Map<number, number[]>();
  #step: StepInput | null = null;

  constructor(runner: ModelRunner, blockSize: number) {
    this.#runner = runner;
    this.#blockSize = blockSize;
  }

  get vocabSize(): number {
    return this.#runner.vocabSize;
  }
  get bytesPerBlock(): number {
    return this.#runner.bytesPerBlock;
  }
  get canCopyBlocks(): boolean {
    return this.#runner.canCopyBlocks;
  }
  get maxInFlight(): number {
    return this.#runner.maxInFlight;
  }

  submit(step: StepInput): StepTicket {
    this.#step = step;
    const sequences = step.sequences.map((sequence) => ({ ...sequence, needs: 'full' as const, numLogits: sequence.numTokens }));
    return this.#runner.submit({ ...step, sequences, wantsHidden: true });
  }

  collect(ticket: StepTicket): StepOutput {
    const step = this.#step!;
    for (const op of step.kvOps) this.#apply(op);
    const { stepId, results } = this.#runner.collect(ticket);
    return { stepId, results: results.map((result, i) => this.#keep(step, i, result)) };
  }

  close(): void {
    this.#runner.close();
  }

  /** Keeps one sequence's positions. @returns what the engine asked for. */
  #keep({ sequences, tokenIds }: StepInput, index: number, result: SequenceResult): SequenceResult {
    const { slot, start, numTokens, numComputed, needs, numLogits } = sequences[index]!;
    assert.ok(result.type === 'full' && result.hidden !== undefined);
    const row = (this.#rows.get(slot) ?? []).slice(0, numComputed);
    assert.equal(row.length, numComputed, `row ${slot} holds what the engine believes`);
    this.#rows.set(slot, row);
    for (let i = 0; i < numTokens; i++) {
      row.push(tokenIds[start + i]!);
      const position = { logits: part(result.logits, i, numTokens), hidden: part(result.hidden, i, numTokens) };
      const key = row.join();
      this.computed.set(key, [...(this.computed.get(key) ?? []), position]);
    }
    if (needs === 'none') return { type: 'none' };
    assert.ok(needs !== 'topK' && numLogits === 1, 'the engine asks for one row, or its best token');
    const last = part(result.logits, numTokens - 1, numTokens);
    return needs === 'full' ? { type: 'full', logits: last } : { type: 'argmax', tokenIds: Int32Array.of(last.indexOf(Math.max(...last))) };
  }

  #apply(op: KvOp): void {
    switch (op.type) {
      case 'copyBlocks':
        for (const { from, to } of op.copies) this.#write(to, this.#read(from));
        break;
      case 'moveRow':
        this.#rows.set(op.to, (this.#rows.get(op.from) ?? []).slice(0, op.numTokens));
        this.#rows.delete(op.from);
        break;
      case 'release':
        this.#rows.delete(op.slot);
        break;
      case 'releaseBlocks':
        for (const id of op.blockIds) this.#pool.delete(id);
        break;
      default:
        op satisfies never;
    }
  }

  #read(from: BlockLocation): number[] {
    if (from.type === 'pool') return this.#pool.get(from.blockId) ?? [];
    const start = from.blockIndex * this.#blockSize;
    return (this.#rows.get(from.slot) ?? []).slice(start, start + this.#blockSize);
  }

  #write(to: BlockLocation, tokens: readonly number[]): void {
    assert.equal(tokens.length, this.#blockSize, 'whole blocks are copied');
    if (to.type === 'pool') {
      this.#pool.set(to.blockId, [...tokens]);
      return;
    }
    const row = this.#rows.get(to.slot) ?? [];
    row.splice(to.blockIndex * this.#blockSize, this.#blockSize, ...tokens);
    this.#rows.set(to.slot, row);
  }
}

/** A copy of the i-th of `count` equal parts: the runner overwrites its own with the next step. */
function part(values: Float32Array, i: number, count: number): Float32Array {
  const size = values.length / count;
  return values.slice(i * size, (i + 1) * size);
}
