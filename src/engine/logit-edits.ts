/** The part of sampling that changes single logits: penalties, bias and bans, in the order that vLLM and FastDeploy use. */
import type { SamplingParams } from '../core/sampling-params.ts';
import type { TokenHistory } from './token-history.ts';

/**
 * Applies, in place: repetition penalty (prompt and output), frequency and presence penalty (output), logit_bias, then −∞ for bad words
 * and, while fewer than minTokens were generated, for stop tokens. Ids outside the vocabulary have no effect.
 */
export function editLogits(logits: Float64Array, params: SamplingParams, history: TokenHistory): void {
  if (params.repetitionPenalty !== 1) penalizeRepetition(logits, params.repetitionPenalty, history);
  if (params.frequencyPenalty !== 0 || params.presencePenalty !== 0) {
    for (const [id, count] of history.outputCounts) add(logits, id, -(params.frequencyPenalty * count + params.presencePenalty));
  }
  for (const [id, bias] of params.logitBias) add(logits, id, bias);
  for (const word of params.badWords) banLastToken(logits, word, history);
  if (history.numOutputTokens < params.minTokens) {
    for (const id of params.stopTokenIds) ban(logits, id);
  }
}

/** −∞ for every token whose bit is not set in the mask (see constraint.ts). */
export function applyMask(logits: Float64Array, mask: Int32Array): void {
  for (let word = 0, first = 0; first < logits.length; word++, first += 32) {
    const bits = mask[word]!;
    if (bits === -1) continue;
    if (bits === 0) {
      logits.fill(Number.NEGATIVE_INFINITY, first, first + 32);
      continue;
    }
    const end = Math.min(first + 32, logits.length);
    for (let id = first; id < end; id++) if (((bits >>> (id & 31)) & 1) === 0) logits[id] = Number.NEGATIVE_INFINITY;
  }
}

/** Whether `editLogits` would leave every logit as it is, now and (apart from minTokens) later. */
export function isUnedited(params: SamplingParams, numOutputTokens: number): boolean {
  return (
    params.repetitionPenalty === 1 &&
    params.frequencyPenalty === 0 &&
    params.presencePenalty === 0 &&
    params.logitBias.length === 0 &&
    params.badWords.length === 0 &&
    params.constraint === null &&
    (params.stopTokenIds.length === 0 || numOutputTokens >= params.minTokens)
  );
}

function penalizeRepetition(logits: Float64Array, penalty: number, history: TokenHistory): void {
  for (const id of history.promptIds) penalizeOnce(logits, id, penalty);
  for (const id of history.outputCounts.keys()) {
    if (!history.promptIds.has(id)) penalizeOnce(logits, id, penalty);
  }
}

function penalizeOnce(logits: Float64Array, id: number, penalty: number): void {
  const logit = logits[id];
  if (logit === undefined) return;
  const penalized = logit < 0 ? logit * penalty : logit / penalty;
  logits[id] = Number.isFinite(logit) ? saturated(penalized) : penalized;
}

/** A penalty of 1e-310 is allowed, and must not look like a model that gave Infinity, nor one of 1e308 like a ban. */
function saturated(logit: number): number {
  return Math.min(Math.max(logit, -Number.MAX_VALUE), Number.MAX_VALUE);
}

/** Bans the word's last token if the tokens before it are the end of the output. A word never reaches back into the prompt. */
function banLastToken(logits: Float64Array, word: readonly number[], history: TokenHistory): void {
  const numBefore = word.length - 1;
  if (numBefore < 0 || numBefore > history.numOutputTokens) return;
  const start = history.tokenIds.length - numBefore;
  for (let i = 0; i < numBefore; i++) {
    if (history.tokenIds[start + i] !== word[i]) return;
  }
  ban(logits, word[numBefore]!);
}

function ban(logits: Float64Array, id: number): void {
  if (id in logits) logits[id] = Number.NEGATIVE_INFINITY;
}

function add(logits: Float64Array, id: number, value: number): void {
  const logit = logits[id];
  if (logit !== undefined) logits[id] = logit + value;
}
