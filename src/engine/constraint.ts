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
import type { SamplingParams } from '../core/sampling-params.ts';
import type { EngineChoice, EngineRequest } from './request.ts';

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

/**
 * With ignore_eos a constrained text still ends where its grammar does, but not earlier: end-of-sequence tokens are taken only where
 * nothing else is allowed (a mask wins over bans).
 */
export function paramsUnder(constraint: Constraint, params: SamplingParams): SamplingParams {
  const ignored = constraint.endIds.filter((id) => !params.stopTokenIds.includes(id));
  if (ignored.length === 0) return params;
  return { ...params, badWords: [...params.badWords, ...ignored.map((id) => [id])] };
}

export const isAllowed = (mask: Int32Array, id: number): boolean => ((mask[id >> 5]! >>> (id & 31)) & 1) === 1;
