/** What one engine group carries now. */
export interface EngineLoad {
  readonly numRunning: number;
  readonly numWaiting: number;
  readonly maxNumSeqs: number;
  readonly numBlocks: number;
  readonly numUsedBlocks: number;
  readonly numCachedBlocks: number;
  readonly queuedPrefillTokens: number;
}
