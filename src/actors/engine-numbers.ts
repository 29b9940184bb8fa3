/** An engine's statistics in the words of its beats. */
import type { EngineLoad } from '../core/engine-load.ts';
import type { EngineStats } from '../engine/request.ts';

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

export const loadOf = (stats: EngineStats, maxNumSeqs: number): EngineLoad => ({
  numRunning: stats.numRunning,
  numWaiting: stats.numWaiting,
  maxNumSeqs,
  numBlocks: stats.numBlocks,
  numUsedBlocks: stats.numUsedBlocks,
  numCachedBlocks: stats.numCachedBlocks,
  queuedPrefillTokens: stats.queuedPrefillTokens,
});

/** By metric name without prefix. */
export const countersOf = (stats: EngineStats): Record<string, number> => ({
  prefix_cache_queries_total: stats.prefixCacheQueryTokens,
  prefix_cache_hits_total: stats.prefixCacheHitTokens,
  preemptions_total: stats.numPreemptions,
  prompt_tokens_total: stats.promptTokens,
  generation_tokens_total: stats.generationTokens,
  engine_steps_total: stats.numSteps,
});
