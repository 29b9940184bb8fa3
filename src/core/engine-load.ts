/** What one engine group carries now. */
export interface EngineLoad {
  readonly numRunning: number;
  readonly numWaiting: number;
  readonly maxNumSeqs: number;
  readonly numBlocks: number;
  readonly numUsedBlocks: number;
  readonly numCachedBlocks: number;
  readonly queuedPrefillTokens: number;
  /** Measured; absent = not known. */
  readonly prefillTokensPerSecond?: number;
  /** How long the next step is expected to take, by what it has to compute; absent = not known. */
  readonly stepMs?: number;
}
