/** What came of the engine's work since it was last asked: the outputs of a step, and those that adds and aborts made before it. */
import type { FinishReason } from '../core/generation.ts';
import type { LogprobEntry, SequenceOutput } from './request.ts';
import type { Sequence } from './sequence.ts';
import { SequenceError } from './sequence-error.ts';

export interface StepReport {
  /** Of the last step that the runner was given; 0 before the first. */
  readonly stepId: number;
  readonly outputs: readonly SequenceOutput[];
  /** Why outputs with finish 'error' could not go on. */
  readonly errors: readonly SequenceError[];
}

/** What an output may have beside tokens. */
export interface OutputExtras extends Pick<SequenceOutput, 'hidden' | 'promptLogprobs'> {
  readonly logprobs?: readonly LogprobEntry[] | null;
}

export class ReportDraft {
  #outputs: SequenceOutput[] = [];
  #errors: SequenceError[] = [];

  /** Whether there is an output that nobody has seen. */
  get hasOutput(): boolean {
    return this.#outputs.length > 0;
  }

  /** An output of the sequence; called after `ids` were appended to it. */
  add(sequence: Sequence, ids: readonly number[], finish: FinishReason | null, { logprobs = null, ...extras }: OutputExtras = {}): void {
    this.#outputs.push({
      key: sequence.request.key,
      choice: sequence.choice,
      firstIndex: sequence.numOutputTokens - ids.length,
      ids,
      finish,
      logprobs,
      cachedTokens: sequence.hasEmitted ? null : sequence.numCachedPromptTokens,
      ...extras,
    });
    sequence.hasEmitted = true;
  }

  /** The sequence ends because it cannot go on. */
  addError(sequence: Sequence, stepId: number, what: string, cause?: unknown): void {
    this.#errors.push(new SequenceError(what, { stepId, key: sequence.request.key, choice: sequence.choice }, cause));
    this.add(sequence, [], 'error');
  }

  /** The report; the next one begins empty. */
  take(stepId: number): StepReport {
    const report = { stepId, outputs: this.#outputs, errors: this.#errors };
    this.#outputs = [];
    this.#errors = [];
    return report;
  }
}
