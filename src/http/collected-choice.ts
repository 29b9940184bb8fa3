/** A whole choice, for replies that are not streamed. */
import type { FinishReason, TextDelta, TokenLogprob, ToolCallDelta } from '../core/generation.ts';
import type { GenerationRun } from './generation-run.ts';
import { joinCalls } from './tool-calls.ts';

export interface CollectedChoice {
  /** Its number in the run. */
  readonly index: number;
  readonly text: string;
  readonly reasoning: string;
  /** One entry per call, complete. */
  readonly toolCalls: readonly ToolCallDelta[];
  /** The output before reasoning and tool calls were split off; empty unless token ids were asked for. */
  readonly rawText: string;
  readonly tokenIds: readonly number[];
  /** Null when none were asked for. */
  readonly logprobs: readonly TokenLogprob[] | null;
  readonly finishReason: FinishReason;
  /** The stop string that ended it, if one did. */
  readonly stopString: string | null;
  /** Seconds from the request's arrival to the choice's end. */
  readonly arrivalTime: number;
}

/** Reads the run to its end. @throws what the run failed with. */
export async function collectChoices(run: GenerationRun): Promise<readonly CollectedChoice[]> {
  const choices = Array.from({ length: run.numChoices }, (_, index) => new GrowingChoice(index));
  for await (const batch of run.deltas()) for (const delta of batch) choices[delta.choice]?.add(delta, run);
  return choices;
}

class GrowingChoice implements CollectedChoice {
  readonly index: number;
  readonly tokenIds: number[] = [];
  readonly #callPieces: ToolCallDelta[] = [];
  text = '';
  reasoning = '';
  rawText = '';
  logprobs: TokenLogprob[] | null = null;
  /** Every choice is told its reason; one that was not did not come to its end. */
  finishReason: FinishReason = 'abort';
  stopString: string | null = null;
  arrivalTime = 0;

  constructor(index: number) {
    this.index = index;
  }

  get toolCalls(): readonly ToolCallDelta[] {
    return joinCalls(this.#callPieces);
  }

  add(delta: TextDelta, run: GenerationRun): void {
    this.text += delta.text;
    this.reasoning += delta.reasoning;
    this.rawText += delta.rawText ?? '';
    for (const piece of delta.toolCalls ?? []) this.#callPieces.push(piece);
    for (const id of delta.tokenIds) this.tokenIds.push(id);
    if (delta.logprobs) {
      this.logprobs ??= [];
      for (const entry of delta.logprobs) this.logprobs.push(entry);
    }
    if (delta.finishReason === null) return;
    this.finishReason = delta.finishReason;
    this.stopString = delta.stopString ?? null;
    this.arrivalTime = run.elapsedSeconds();
  }
}
