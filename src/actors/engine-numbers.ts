/** An engine's statistics in the words of its beats. */
import type { EngineLoad } from '../core/engine-load.ts';
import type { CollectiveCounters } from '../engine/collective/collective.ts';
import type { EngineStats } from '../engine/request.ts';
import type { Credit } from '../transport/messages.ts';

/** Before the rank's first turn. */
export const idleLoad = (maxNumSeqs: number, numBlocks: number): EngineLoad => ({
  numRunning: 0,
  numWaiting: 0,
  maxNumSeqs,
  numBlocks,
  numUsedBlocks: 0,
  numCachedBlocks: 0,
  queuedPrefillTokens: 0,
});

/** @param numNewTokens of prompts that the rank was given since: they are part of its next step. */
export const loadOf = (stats: EngineStats, maxNumSeqs: number, numNewTokens = 0): EngineLoad => ({
  numRunning: stats.numRunning,
  numWaiting: stats.numWaiting,
  maxNumSeqs,
  numBlocks: stats.numBlocks,
  numUsedBlocks: stats.numUsedBlocks,
  numCachedBlocks: stats.numCachedBlocks,
  queuedPrefillTokens: stats.queuedPrefillTokens,
  ...(stats.prefillTokensPerSecond !== undefined && { prefillTokensPerSecond: stats.prefillTokensPerSecond }),
  ...(stats.stepMs !== undefined && { stepMs: stats.stepMs + (numNewTokens * 1000) / (stats.prefillTokensPerSecond ?? 1000) }),
});

/** Requests and prompt tokens that the engine has taken since it began. */
export interface Accepted {
  readonly requests: number;
  readonly prefillTokens: number;
}

/** A hint older than a few beats says nothing. */
const CREDIT_LIFETIME_MS = 1000;
/** Prompt tokens are welcome as long as they would be computed within this. */
const PREFILL_ROOM_MS = 1000;

/** What the engine could begin at once: free places, and a second's worth of prefill. */
export function creditOf(load: EngineLoad, accepted: Accepted): Credit {
  const places = Math.max(0, load.maxNumSeqs - load.numRunning - load.numWaiting);
  const roomTokens = ((load.prefillTokensPerSecond ?? Number.POSITIVE_INFINITY) * PREFILL_ROOM_MS) / 1000 - load.queuedPrefillTokens;
  return {
    grantedRequests: accepted.requests + places,
    acceptedRequests: accepted.requests,
    grantedPrefillTokens: accepted.prefillTokens + Math.max(0, Math.min(roomTokens, Number.MAX_SAFE_INTEGER / 2)),
    acceptedPrefillTokens: accepted.prefillTokens,
    lifetimeMs: CREDIT_LIFETIME_MS,
  };
}

/** By metric name without prefix. @param collective of ranks that share the model. */
export const countersOf = (stats: EngineStats, collective?: CollectiveCounters): Record<string, number> => ({
  ...(collective && { collective_seconds_total: collective.seconds, collective_bytes_total: collective.numBytes }),
  prefix_cache_queries_total: stats.prefixCacheQueryTokens,
  prefix_cache_hits_total: stats.prefixCacheHitTokens,
  preemptions_total: stats.numPreemptions,
  prompt_tokens_total: stats.promptTokens,
  generation_tokens_total: stats.generationTokens,
  engine_steps_total: stats.numSteps,
});
