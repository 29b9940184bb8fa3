/**
 * The contract between the engine and whatever computes: one StepInput in, one StepOutput out. Both are plain data that can be
 * serialised, so that tensor-parallel ranks, a GPU and a scripted fake all get the same.
 */
import type { Epoch, Slot } from '../core/ids.ts';

/** Where a block's keys and values live: in a sequence's row, or in the prefix-cache pool. */
export type BlockLocation =
  | { readonly type: 'row'; readonly slot: Slot; readonly blockIndex: number }
  | { readonly type: 'pool'; readonly blockId: number };

/** The only ways the KV cache changes outside attention. Applied in order, before the step's sequences run. */
export type KvOp =
  | { readonly type: 'copyBlocks'; readonly copies: readonly { readonly from: BlockLocation; readonly to: BlockLocation }[] }
  /** Keys and values of the first `numTokens` positions of row `from` move to row `to`. */
  | { readonly type: 'moveRow'; readonly from: Slot; readonly to: Slot; readonly numTokens: number }
  /** The row's content is dead; its memory may be given back to the operating system. */
  | { readonly type: 'release'; readonly slot: Slot }
  /** Pool blocks whose content is dead. */
  | { readonly type: 'releaseBlocks'; readonly blockIds: readonly number[] };

export type Needs = 'none' | 'argmax' | 'topK' | 'full';

export interface StepSequence {
  readonly slot: Slot;
  /** Index in `tokenIds` of this sequence's first token. */
  readonly start: number;
  /** Tokens to compute in this step: 1 in decode, a chunk in prefill. */
  readonly numTokens: number;
  /** Tokens whose keys and values are already in the row: the position of the first token of this step. */
  readonly numComputed: number;
  /** For providers with paged attention; rows ignore it. */
  readonly blockTable?: Int32Array;
  /** Speculated continuation after the step's tokens; empty without speculation. */
  readonly draftTokens: readonly number[];
  /** What the sampler must see for the last `numLogits` positions. */
  readonly needs: Needs;
  /** Positions, counted from the end of the chunk, whose logits are wanted: 0 with needs = 'none', else usually 1. */
  readonly numLogits: number;
}

export interface StepInput {
  readonly groupEpoch: Epoch;
  /** Contiguous from 1 within an epoch. */
  readonly stepId: number;
  readonly kvOps: readonly KvOp[];
  /** The tokens of all sequences, ragged and packed; -1 = the previous step's token of that sequence. */
  readonly tokenIds: Int32Array;
  readonly sequences: readonly StepSequence[];
  /** Also return the output of the final norm for the positions of `numLogits` (pooling, tests). */
  readonly wantsHidden?: boolean;
}

/** Results for one sequence of the step, in the step's order. Arrays are views that the next `submit` overwrites. */
export type SequenceResult =
  | { readonly type: 'none' }
  /** The lowest id of the best logit; -1 where the logits are not numbers. */
  | { readonly type: 'argmax'; readonly tokenIds: Int32Array }
  | { readonly type: 'topK'; readonly tokenIds: Int32Array; readonly logits: Float32Array }
  /** [numLogits, vocabSize], row-major. */
  | { readonly type: 'full'; readonly logits: Float32Array; readonly hidden?: Float32Array };

export interface StepOutput {
  readonly stepId: number;
  readonly results: readonly SequenceResult[];
}
