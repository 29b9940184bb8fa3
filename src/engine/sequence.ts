/**
 * One choice of a request, as the engine computes it. Its tokens are known (prompt, then output); its keys and values are computed up to
 * `numComputed`. A step lets the second catch up with the first; when it has caught up, one more token is sampled. Prefill, chunks of
 * it, prefix hits, decode and recomputing after a preemption are all that one rule.
 *
 *   0 ≤ numComputed ≤ numTokens,   waiting: numComputed = 0, no row, no blocks
 */

import type { BlockHash } from '../core/block-hash.ts';
import type { FinishReason } from '../core/generation.ts';
import type { Slot } from '../core/ids.ts';
import type { SamplingParams } from '../core/sampling-params.ts';
import { type Constraint, paramsUnder } from './constraint.ts';
import type { EngineRequest } from './request.ts';
import { Thinking } from './thinking.ts';
import { TokenHistory } from './token-history.ts';

export type SequenceState = 'waiting' | 'running' | 'finished';

/** `held`: its reader does not keep up, it stands still in its row. `parked`: for too long; it has no row until it runs again. */
export type SequenceFlow = 'running' | 'held' | 'parked';

export class Sequence {
  readonly request: EngineRequest;
  readonly choice: number;
  readonly history: TokenHistory;
  /** How long it may think; null = as long as it likes. */
  readonly thinking: Thinking | null;
  /** Output tokens of earlier attempts: they are never emitted again. */
  readonly numContinued: number;
  /** Counts up with every request that was added. */
  readonly arrival: number;
  /** What the output must match; null = anything. */
  readonly constraint: Constraint | null;
  /** Decides how its tokens are chosen. */
  readonly params: SamplingParams;
  /** An earlier choice of the same request whose prompt blocks this one takes instead of computing them. */
  readonly leader: Sequence | null;

  state: SequenceState = 'waiting';
  flow: SequenceFlow = 'running';
  numComputed = 0;
  /** Known tokens when it got its row. */
  numTokensAtAdmission = 0;
  /** Tokens to compute in the step that is being put together or run; 0 outside it. */
  numScheduled = 0;
  /** The first part of the known tokens came from the prefix cache when the sequence was first admitted; null before. */
  numCachedAtStart: number | null = null;
  hasEmitted = false;
  /** Tokens for which it runs only with its mask in hand, since masks were late; 0 = the mask is made while its step runs. */
  numLateTokens = 0;
  /** When its first step began (monotonic milliseconds); null before. */
  startedAtMs: number | null = null;

  /** Prompt positions whose log-probabilities were told already. Nobody asked this choice for any: infinite. */
  numPromptLogprobs = Number.POSITIVE_INFINITY;
  /** Rows of logits that may be read for them in one step. */
  maxPromptRows = 0;

  // ---- kept by kv/kv-cache.ts
  slot: Slot | null = null;
  /** Blocks of the budget that its row takes. */
  numBlocks = 0;
  /** Its first full blocks that the prefix cache knows to be in its row. */
  numRegistered = 0;
  /** Chained hashes of its full blocks, as far as they were needed. */
  readonly blockHashes: BlockHash[] = [];

  constructor(
    request: EngineRequest,
    choice: number,
    outputIds: readonly number[],
    arrival: number,
    leader: Sequence | null,
    constraint: Constraint | null = null,
  ) {
    this.request = request;
    this.constraint = constraint;
    this.params = constraint ? paramsUnder(constraint, request.params) : request.params;
    this.choice = choice;
    this.history = new TokenHistory(request.promptIds, outputIds, request.params);
    this.thinking = this.params.thinking && new Thinking(this.params.thinking);
    if (this.thinking) for (const id of outputIds) this.thinking.accept(id);
    this.numContinued = outputIds.length;
    this.arrival = arrival;
    this.leader = leader;
  }

  /** Adds one output token. */
  append(id: number): void {
    this.history.append(id);
    this.thinking?.accept(id);
  }

  get tokenIds(): readonly number[] {
    return this.history.tokenIds;
  }

  get numTokens(): number {
    return this.history.tokenIds.length;
  }

  get numPromptTokens(): number {
    return this.history.numPromptTokens;
  }

  get numOutputTokens(): number {
    return this.history.numOutputTokens;
  }

  /** Known tokens that are not computed yet: 1 in decode. */
  get numUncomputed(): number {
    return this.numTokens - this.numComputed;
  }

  /** Whether the step that is being put together or run computes all known tokens: then a new one can be chosen. */
  get willCatchUp(): boolean {
    return this.numScheduled === this.numUncomputed;
  }

  /** Prompt tokens that came from the prefix cache in this attempt. */
  get numCachedPromptTokens(): number {
    return Math.min(this.numCachedAtStart ?? 0, this.numPromptTokens);
  }

  /** Whether its last step could choose no token, and the next one could not either; or nobody would read one. */
  get isHeldUp(): boolean {
    if (this.flow !== 'running') return true;
    return this.numLateTokens > 0 && this.constraint?.state === 'working';
  }

  /** Whether log-probabilities of prompt tokens are still to be told; the last position's logits are the first output's. */
  get needsPromptLogprobs(): boolean {
    return this.numPromptLogprobs < this.numPromptTokens - 1;
  }

  /** Tokens that the prefix cache may spare it: positions whose logits are wanted must be computed. */
  get numSkippable(): number {
    return this.needsPromptLogprobs ? this.numPromptLogprobs : this.numTokens - 1;
  }

  /** Rows of logits to be read for the prompt when its next `numTokens` tokens are computed, up to the last of these. */
  promptRowsOf(numTokens: number): number {
    return this.needsPromptLogprobs ? Math.max(0, numTokens - Math.max(0, this.numPromptLogprobs - this.numComputed)) : 0;
  }

  /** Whether the prompt's blocks are about to be there for the taking. */
  get waitsForLeader(): boolean {
    const leader = this.leader;
    return leader !== null && leader.state !== 'finished' && leader.numComputed < leader.numPromptTokens;
  }

  /**
   * Why nothing more is to be generated, or null.
   * @param maxLen known tokens at which a sequence ends.
   */
  finishReason(maxLen: number): FinishReason | null {
    const { params, numOutputTokens } = this;
    if (params.pooling) return null;
    if (numOutputTokens > 0 && this.constraint?.endIds.includes(this.tokenIds[this.numTokens - 1]!)) return 'stop';
    if (numOutputTokens > params.minTokens && params.stopTokenIds.includes(this.tokenIds[this.numTokens - 1]!)) return 'stop';
    if (this.thinking?.isAnswerComplete) return 'length';
    return numOutputTokens >= params.maxTokens || this.numTokens >= maxLen ? 'length' : null;
  }
}

/** Negative when `a` goes first: continuations, then smaller priority, then earlier arrival, then the lower choice. */
export function compareSequences(a: Sequence, b: Sequence): number {
  return (
    Number(b.numContinued > 0) - Number(a.numContinued > 0) ||
    a.request.priority - b.request.priority ||
    a.arrival - b.arrival ||
    a.choice - b.choice
  );
}

/** Puts `sequence` at its place in a list sorted by `compareSequences`, and returns the index. */
export function insertInOrder(sequences: Sequence[], sequence: Sequence): number {
  let low = 0;
  let high = sequences.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareSequences(sequences[middle]!, sequence) < 0) low = middle + 1;
    else high = middle;
  }
  sequences.splice(low, 0, sequence);
  return low;
}
