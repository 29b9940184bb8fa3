/** A whole choice, for replies that are not streamed. */
import type { FinishReason, TextDelta, TokenLogprob } from '../core/generation.ts';
import type { GenerationRun } from './generation-run.ts';

export interface CollectedChoice {
  readonly index: number;
  readonly text: string;
  readonly reasoning: string;
  readonly tokenIds: readonly number[];
  /** Null when none were asked for. */
  readonly logprobs: readonly TokenLogprob[] | null;
  readonly finishReason: FinishReason;
}

/** Reads the run to its end. @throws what the run failed with. */
export async function collectChoices(run: GenerationRun): Promise<readonly CollectedChoice[]> {
  const choices = Array.from({ length: run.numChoices }, (_, index) => new GrowingChoice(index));
  for await (const batch of run.deltas()) for (const delta of batch) choices[delta.choice]?.add(delta);
  return choices;
}

class GrowingChoice implements CollectedChoice {
  readonly index: number;
  readonly tokenIds: number[] = [];
  text = '';
  reasoning = '';
  logprobs: TokenLogprob[] | null = null;
  /** Every choice is told its reason; one that was not did not come to its end. */
  finishReason: FinishReason = 'abort';

  constructor(index: number) {
    this.index = index;
  }

  add(delta: TextDelta): void {
    this.text += delta.text;
    this.reasoning += delta.reasoning;
    for (const id of delta.tokenIds) this.tokenIds.push(id);
    if (delta.logprobs) {
      this.logprobs ??= [];
      for (const entry of delta.logprobs) this.logprobs.push(entry);
    }
    if (delta.finishReason !== null) this.finishReason = delta.finishReason;
  }
}
