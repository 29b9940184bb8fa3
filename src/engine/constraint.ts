/**
 * What the engine knows of grammars: for each constrained sequence, which tokens may come next. The masks are made elsewhere while the
 * model's step runs (actors/grammar-constraints.ts has the real ones; tests script a fake), so they may be late: the engine never waits
 * longer than a moment for one, and a sequence whose mask is not there sits steps out while the others go on.
 *
 *   working ── mask made ──▶ ready ── accept(id) ──▶ working …        failed: no mask will come; `failure` says why
 *
 * Tokens that the grammar leaves no choice about may come as a run: in `ready` they stand in `forced`, and the mask is for the place
 * after them.
 */
import type { Clock } from '../core/clock.ts';
import type { SamplingParams } from '../core/sampling-params.ts';
import type { EngineChoice, EngineRequest } from './request.ts';
import type { Sequence } from './sequence.ts';
import type { SequenceResult } from './step.ts';

export interface Constraint {
  /** Looked at whenever it is asked for; may change from `working` by itself, never back. */
  readonly state: 'working' | 'ready' | 'failed';
  /** In `ready`: ids that must come next, in order, before a token is chosen with the mask. Already accepted. */
  takeForced(): readonly number[];
  /** In `ready`: bit `id % 32` of word `id >> 5` is set when the token may come next. At least one is. */
  readonly mask: Int32Array;
  /** Says which token was chosen. Only in `ready`, with nothing forced left. */
  accept(id: number): void;
  /** After such a token nothing may follow: the model's end-of-sequence ids. */
  readonly endIds: readonly number[];
  /** In `failed`: one sentence. */
  readonly failure: string;
  /** The sequence is over. */
  close(): void;
}

/** Where constraints come from, and the engine's way to wait for them. */
export interface Constraints {
  /** For one unfinished choice of a request with `params.constraint`; it knows the choice's `outputIds`. @throws Error when there is none. */
  open(request: EngineRequest, choice: EngineChoice): Constraint;
  /** Sleeps until a mask may have been made, `ms` at most. @returns whether one may have been; false = the time is over. */
  pause(ms: number): boolean;
  /** The request was not taken: nothing will be opened for it. */
  discard(request: EngineRequest): void;
}

/** How long a step waits, in all, for masks that are about to come: a mask takes 0.05 ms, so this is one that is stuck behind others. */
const MASK_WAIT_MS = 2;

/** After a step's run: gives missing masks a moment. A sequence whose mask was late before is not waited for again so soon. */
export function waitForMasks(
  constraints: Constraints,
  clock: Pick<Clock, 'monotonic'>,
  scheduled: readonly Sequence[],
  results: readonly SequenceResult[],
): void {
  const isMissing = ({ constraint, numLateTokens, willCatchUp }: Sequence, i: number): boolean =>
    constraint?.state === 'working' && willCatchUp && results[i]!.type !== 'none' && numLateTokens === 0;
  if (!scheduled.some(isMissing)) return;
  const deadline = clock.monotonic() + MASK_WAIT_MS;
  for (let left = MASK_WAIT_MS; left > 0 && scheduled.some(isMissing); left = deadline - clock.monotonic()) {
    if (!constraints.pause(left)) return;
  }
}

/**
 * With ignore_eos a constrained text still ends where its grammar does, but not earlier: end-of-sequence tokens are taken only where
 * nothing else is allowed (a mask wins over bans).
 */
export function paramsUnder(constraint: Constraint, params: SamplingParams): SamplingParams {
  const ignored = constraint.endIds.filter((id) => !params.stopTokenIds.includes(id));
  if (ignored.length === 0) return params;
  return { ...params, badWords: [...params.badWords, ...ignored.map((id) => [id])] };
}
