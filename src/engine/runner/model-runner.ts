/** What the engine knows of the machine that computes. The real one is ort-model-runner.ts; tests script a fake. */
import type { StepInput, StepOutput } from '../step.ts';

/** A submitted step, to be collected once and in order. */
export interface StepTicket {
  readonly stepId: number;
}

export interface KvLayout {
  /** Rows for running sequences. */
  readonly maxNumSeqs: number;
  /** Positions a row can hold. */
  readonly maxModelLen: number;
  readonly blockSize: number;
  /** Blocks of the prefix-cache pool; 0 where the runner cannot copy blocks. */
  readonly numPoolBlocks: number;
}

export interface ModelRunner {
  readonly vocabSize: number;
  /** Bytes that the keys and values of one block take, over all layers. */
  readonly bytesPerBlock: number;
  /** Whether `copyBlocks` and `moveRow` work: false turns prefix caching and row compaction off. */
  readonly canCopyBlocks: boolean;
  /** Steps that may be submitted before the first is collected: 1 on CPU. */
  readonly maxInFlight: number;
  /** @throws RunnerError when the native library reports one; the group cannot go on. */
  submit(step: StepInput): StepTicket;
  collect(ticket: StepTicket): StepOutput;
  close(): void;
}
