/** A model runner that keeps the books on the one it wraps: what each step computed, and how long it took. */
import type { ModelRunner, StepTicket } from '../src/engine/runner/model-runner.ts';
import type { StepInput, StepOutput } from '../src/engine/step.ts';

export interface StepMeasure {
  /** Tokens of sequences that computed more than one: prompt chunks. */
  readonly prefillTokens: number;
  /** Sequences that computed one token. */
  readonly decodeTokens: number;
  readonly seconds: number;
}

export class MeteredRunner implements ModelRunner {
  readonly vocabSize: number;
  readonly bytesPerBlock: number;
  readonly canCopyBlocks: boolean;
  readonly maxInFlight: number;
  /** Every step so far; the caller empties it between phases. */
  steps: StepMeasure[] = [];
  readonly #runner: ModelRunner;
  readonly #submitted = new Map<number, { prefillTokens: number; decodeTokens: number; startedMs: number }>();

  constructor(runner: ModelRunner) {
    this.#runner = runner;
    this.vocabSize = runner.vocabSize;
    this.bytesPerBlock = runner.bytesPerBlock;
    this.canCopyBlocks = runner.canCopyBlocks;
    this.maxInFlight = runner.maxInFlight;
  }

  submit(step: StepInput): StepTicket {
    let prefillTokens = 0;
    let decodeTokens = 0;
    for (const { numTokens } of step.sequences) {
      if (numTokens > 1) prefillTokens += numTokens;
      else decodeTokens += numTokens;
    }
    this.#submitted.set(step.stepId, { prefillTokens, decodeTokens, startedMs: performance.now() });
    return this.#runner.submit(step);
  }

  collect(ticket: StepTicket): StepOutput {
    const output = this.#runner.collect(ticket);
    const { prefillTokens, decodeTokens, startedMs } = this.#submitted.get(ticket.stepId)!;
    this.#submitted.delete(ticket.stepId);
    this.steps.push({ prefillTokens, decodeTokens, seconds: (performance.now() - startedMs) / 1000 });
    return output;
  }

  close(): void {
    this.#runner.close();
  }
}
