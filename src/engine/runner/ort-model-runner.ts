/**
 * The model on ONNX Runtime. A step is one run for its decode rows together and one or more for each prefill chunk; keys and values
 * are written where they lie, logits into buffers that are made once.
 *
 * A decode batch spans rows 0 … highest decoding row. A row between them that does not decode now is a hole: it computes garbage, and
 * writes the garbage's keys and values behind the positions it has computed, where its next chunk overwrites them.
 */
import { assert } from '../../core/errors.ts';
import type { Collective } from '../collective/collective.ts';
import type { SequenceResult, StepInput, StepOutput, StepSequence } from '../step.ts';
import { DecodeBatch } from './decode-batch.ts';
import type { KvCache } from './kv-cache.ts';
import { LogitsBuffer, numLogitsOf } from './logits-buffer.ts';
import type { ModelRunner, StepTicket } from './model-runner.ts';
import type { OrtSession } from './ort-session.ts';
import { PrefillRun } from './prefill-run.ts';

export interface OrtModelRunnerOptions {
  readonly session: OrtSession;
  readonly cache: KvCache;
  readonly vocabSize: number;
  /** Columns of the graph's logits: fewer than the vocabulary on a rank that only helps. */
  readonly logitWidth: number;
  readonly hiddenSize: number;
  /** The way to the group's other ranks. */
  readonly collective?: Collective | null;
  /** After everything native is gone. */
  readonly onClosed?: () => void;
  /** Longest run of a prefill chunk; longer chunks are cut. */
  readonly maxPrefillTokens: number;
}

export class OrtModelRunner implements ModelRunner {
  readonly vocabSize: number;
  readonly bytesPerBlock: number;
  readonly canCopyBlocks: boolean;
  readonly maxInFlight = 1;
  readonly #session: OrtSession;
  readonly #cache: KvCache;
  readonly #logits: LogitsBuffer;
  readonly #decode: DecodeBatch;
  readonly #prefill: PrefillRun;
  readonly #options: OrtModelRunnerOptions;
  #output: StepOutput | null = null;

  constructor(options: OrtModelRunnerOptions) {
    this.#options = options;
    this.#session = options.session;
    this.#cache = options.cache;
    this.vocabSize = options.vocabSize;
    this.bytesPerBlock = options.cache.bytesPerBlock;
    this.canCopyBlocks = options.cache.canCopyBlocks;
    this.#logits = new LogitsBuffer(options.session, options.logitWidth, options.hiddenSize, options.cache.shape.maxNumSeqs);
    this.#decode = new DecodeBatch(options.session, options.cache, this.#logits);
    this.#prefill = new PrefillRun(options.session, options.cache, this.#logits, options.maxPrefillTokens);
  }

  /** Memory of the KV cache that is committed now, in bytes. */
  get residentKvBytes(): number {
    return this.#cache.residentBytes;
  }

  submit(step: StepInput): StepTicket {
    assert(this.#output === null, `step ${this.#output?.stepId} was not collected before step ${step.stepId}`);
    this.#assertSupported(step);
    this.#options.collective?.beginStep(step.stepId);
    for (const op of step.kvOps) this.#cache.apply(op);
    this.#output = { stepId: step.stepId, results: this.#run(step) };
    this.#cache.trim();
    return { stepId: step.stepId };
  }

  collect(ticket: StepTicket): StepOutput {
    const output = this.#output;
    assert(output?.stepId === ticket.stepId, `step ${ticket.stepId} is not the one in flight (${output?.stepId})`);
    this.#output = null;
    return output;
  }

  close(): void {
    this.#decode.close();
    this.#prefill.close();
    this.#logits.close();
    this.#session.close();
    this.#cache.free();
    this.#options.onClosed?.();
  }

  /** What the contract has room for and this runner does not do: tokens that only the previous step knows, and speculation. */
  #assertSupported({ stepId, tokenIds, sequences }: StepInput): void {
    for (const id of tokenIds)
      assert(id >= 0 && id < this.vocabSize, `step ${stepId} has token id ${id}, the vocabulary ${this.vocabSize}`);
    for (const { slot, draftTokens } of sequences) assert(draftTokens.length === 0, `step ${stepId} speculates in row ${slot}`);
  }

  #run(step: StepInput): SequenceResult[] {
    const { sequences } = step;
    const wantsHidden = step.wantsHidden === true;
    const decoding: StepSequence[] = [];
    let numRows = 0;
    for (const sequence of sequences) {
      if (this.#isBatched(sequence)) decoding.push(sequence);
      numRows += numLogitsOf(sequence);
    }
    this.#logits.reserve(numRows);
    let nextRow = this.#decode.run(decoding, step.tokenIds, wantsHidden);
    let decodeRow = 0;
    return sequences.map((sequence) => {
      const count = numLogitsOf(sequence);
      if (this.#isBatched(sequence)) {
        decodeRow += count;
        return this.#result(sequence, decodeRow - count, wantsHidden);
      }
      this.#prefill.run(sequence, step.tokenIds, nextRow, wantsHidden);
      nextRow += count;
      return this.#result(sequence, nextRow - count, wantsHidden);
    });
  }

  #isBatched(sequence: StepSequence): boolean {
    return sequence.numTokens === 1 && this.#cache.canBatchRows;
  }

  #result(sequence: StepSequence, row: number, wantsHidden: boolean): SequenceResult {
    const count = numLogitsOf(sequence);
    switch (sequence.needs) {
      case 'none':
        return { type: 'none' };
      case 'argmax':
        return { type: 'argmax', tokenIds: this.#logits.argmax(row, count) };
      case 'topK':
        return this.#logits.topK(row);
      case 'full': {
        const logits = this.#logits.rows(row, count);
        return wantsHidden ? { type: 'full', logits, hidden: this.#logits.hiddenRows(row, count) } : { type: 'full', logits };
      }
      default:
        return sequence.needs satisfies never;
    }
  }
}
