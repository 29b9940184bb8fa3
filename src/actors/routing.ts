/** Which engine gets a request: pure, over what the directory knows. */
import type { EngineEntry } from './directory.ts';

export interface RoutingWish {
  /** Only an engine with this fingerprint gives the same tokens; null = any. */
  readonly fingerprint: string | null;
  /** Engines that just refused this request or did not answer, by `engineKey`. */
  readonly excluded: ReadonlySet<string>;
}

/** The serving engine with the least work for its size; ties go to the shorter prefill queue, then to the smaller id. */
export function chooseEngine(engines: Iterable<EngineEntry>, wish: RoutingWish): EngineEntry | null {
  let best: EngineEntry | null = null;
  for (const engine of engines) {
    if (engine.state !== 'serving' || wish.excluded.has(engine.key)) continue;
    if (wish.fingerprint !== null && engine.fingerprint !== wish.fingerprint) continue;
    if (best === null || compareLoad(engine, best) < 0) best = engine;
  }
  return best;
}

function compareLoad(a: EngineEntry, b: EngineEntry): number {
  return occupancy(a) - occupancy(b) || a.load.queuedPrefillTokens - b.load.queuedPrefillTokens || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/** Requests per row, those sent since the last beat included: beats are 250 ms apart, bursts are not. */
function occupancy(engine: EngineEntry): number {
  return (engine.load.numRunning + engine.load.numWaiting + engine.numSentSinceBeat) / Math.max(1, engine.load.maxNumSeqs);
}
