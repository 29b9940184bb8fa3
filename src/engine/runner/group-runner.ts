/**
 * A step on all ranks of a group: rank 0 schedules and samples, so its runner hands each step to the others before it computes its own
 * share. They run the same step on theirs, or refuse it: a step of another group, or one after a lost step, would corrupt their KV cache.
 */
import { compareEpochs, type Epoch } from '../../core/ids.ts';
import type { StepInput, StepOutput } from '../step.ts';
import type { ModelRunner, StepTicket } from './model-runner.ts';

/** How rank 0 reaches another rank. Lost = that rank does not come to the step's first exchange, and the group ends by its deadline. */
export interface StepReceiver {
  send(step: StepInput): void;
  /** Nothing follows. */
  close(): void;
}

/** Rank 0's runner. */
export class LeaderRunner implements ModelRunner {
  readonly #own: ModelRunner;
  readonly #others: readonly StepReceiver[];

  constructor(own: ModelRunner, others: readonly StepReceiver[]) {
    this.#own = own;
    this.#others = others;
  }

  get vocabSize(): number {
    return this.#own.vocabSize;
  }

  get bytesPerBlock(): number {
    return this.#own.bytesPerBlock;
  }

  get canCopyBlocks(): boolean {
    return this.#own.canCopyBlocks;
  }

  get maxInFlight(): number {
    return this.#own.maxInFlight;
  }

  submit(step: StepInput): StepTicket {
    for (const other of this.#others) other.send(step);
    return this.#own.submit(step);
  }

  collect(ticket: StepTicket): StepOutput {
    return this.#own.collect(ticket);
  }

  close(): void {
    for (const other of this.#others) other.close();
    this.#own.close();
  }
}

/** A step that this rank must not run. */
export class StepRefusedError extends Error {
  override readonly name = 'StepRefusedError';
}

/** Any other rank: runs each step for its part in the exchanges and has no result of its own. */
export class FollowerRunner {
  readonly #own: ModelRunner;
  readonly #groupEpoch: Epoch;
  #lastStepId = 0;

  constructor(own: ModelRunner, groupEpoch: Epoch) {
    this.#own = own;
    this.#groupEpoch = groupEpoch;
  }

  /** @throws StepRefusedError, CollectiveError, RunnerError: the group cannot go on. */
  run(step: StepInput): void {
    if (compareEpochs(step.groupEpoch, this.#groupEpoch) !== 0) {
      throw new StepRefusedError(
        `Step ${step.stepId} is of group ${step.groupEpoch.join('.')}, this rank of ${this.#groupEpoch.join('.')}.`,
      );
    }
    if (step.stepId !== this.#lastStepId + 1) {
      throw new StepRefusedError(`Step ${step.stepId} came after step ${this.#lastStepId}: one is lost.`);
    }
    this.#lastStepId = step.stepId;
    // Its logits are a part of the vocabulary: nothing is to be looked for in them.
    const sequences = step.sequences.map((sequence) => (sequence.needs === 'none' ? sequence : ({ ...sequence, needs: 'full' } as const)));
    this.#own.collect(this.#own.submit({ ...step, sequences }));
  }
}
