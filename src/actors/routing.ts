/**
 * Which engine gets a request: pure, over what the directory and the prefix index know. An engine is charged what it would have to do for
 * its requests and this one, in KV blocks:
 *
 *   cost = (overlapWeight × blocks to prefill + active blocks) ÷ size
 *
 *   blocks to prefill   tokens that wait there for prefill + this prompt's without those in its prefix cache, ÷ block size
 *   active blocks       blocks of running sequences, one for each waiting one, and this prompt's
 *   size                places in its batch, so that engines of different sizes fill evenly
 *
 * It is the cost of NVIDIA Dynamo's KV router (docs.nvidia.com/dynamo/design-docs/router-design: potential prefill blocks and potential
 * active blocks, weight 1), with queued work and size added. A cached prefix draws requests until its engine has more to do by as much as
 * the prefix saves. Engines that say they have no room come after those that have: the engine's own answer decides.
 */
import type { RandomSource } from '../core/clock.ts';
import type { EngineEntry } from './directory.ts';

export interface RoutingWish {
  /** Only an engine with this fingerprint gives the same tokens; null = any. */
  readonly fingerprint: string | null;
  /** Engines that just refused this request or did not answer, by `engineKey`. */
  readonly excluded: ReadonlySet<string>;
  /** Tokens to be prefilled where nothing of them is cached; absent = 0. */
  readonly promptTokens?: number;
  /** First blocks of the prompt that the engine holds; absent = none. */
  readonly cachedBlocks?: (engine: EngineEntry) => number;
  /** Monotonic milliseconds: credits count for a time. Absent = they do not count. */
  readonly now?: number;
  /** Breaks ties; absent = the smaller id. */
  readonly random?: RandomSource | undefined;
  /** 1 */
  readonly overlapWeight?: number;
}

/** Where the engine names none. */
const BLOCK_SIZE = 64;

/** The serving engine with the least cost among those with room, or among all when none has. */
export function chooseEngine(engines: Iterable<EngineEntry>, wish: RoutingWish): EngineEntry | null {
  let best: EngineEntry[] = [];
  let bestRank: readonly [number, number] | null = null;
  for (const engine of engines) {
    if (engine.state !== 'serving' || wish.excluded.has(engine.key)) continue;
    if (wish.fingerprint !== null && engine.fingerprint !== wish.fingerprint) continue;
    const rank = [hasNoRoom(engine, wish.now) ? 1 : 0, costOf(engine, wish)] as const;
    const order = bestRank === null ? -1 : rank[0] - bestRank[0] || rank[1] - bestRank[1];
    if (order > 0) continue;
    if (order < 0) best = [];
    best.push(engine);
    bestRank = rank;
  }
  if (best.length > 1 && wish.random) return best[Math.floor(wish.random() * best.length)]!;
  return best.reduce<EngineEntry | null>((first, engine) => (first === null || engine.id < first.id ? engine : first), null);
}

/** In blocks per place of the batch. What was sent since the last beat counts: beats are 250 ms apart, bursts are not. */
export function costOf(engine: EngineEntry, wish: RoutingWish): number {
  const { load, numSentSinceBeat, numPromptTokensSentSinceBeat: sentTokens } = engine;
  const blockSize = engine.blockSize ?? BLOCK_SIZE;
  const promptTokens = wish.promptTokens ?? 0;
  const cachedTokens = (wish.cachedBlocks?.(engine) ?? 0) * blockSize;
  const prefillBlocks = (load.queuedPrefillTokens + sentTokens + promptTokens - cachedTokens) / blockSize;
  const sentBlocks = Math.max(numSentSinceBeat, sentTokens / blockSize);
  const activeBlocks = Math.max(load.numUsedBlocks, load.numRunning) + load.numWaiting + sentBlocks + promptTokens / blockSize;
  return ((wish.overlapWeight ?? 1) * prefillBlocks + activeBlocks) / Math.max(1, load.maxNumSeqs);
}

/** By its own hint, while that counts. */
function hasNoRoom({ credit, heardAt, numSentSinceBeat, numPromptTokensSentSinceBeat }: EngineEntry, now: number | undefined): boolean {
  if (!credit || now === undefined || now - heardAt > credit.lifetimeMs) return false;
  const requests = credit.grantedRequests - credit.acceptedRequests - numSentSinceBeat;
  const prefillTokens = credit.grantedPrefillTokens - credit.acceptedPrefillTokens - numPromptTokensSentSinceBeat;
  return requests <= 0 || prefillTokens <= 0;
}
