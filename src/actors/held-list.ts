import type { FrontendBeat } from '../transport/messages.ts';
import type { LiveRequest } from './live-request.ts';

/** Which requests an engine is to hold, by engine: goes into every beat of a frontend. */
export function heldList(requests: Iterable<LiveRequest>): NonNullable<FrontendBeat['held']> {
  const byEngine = new Map<string, { engineId: string; engineEpoch: readonly [number, number]; requests: [number, number][] }>();
  for (const { isHeld, slot, assignment } of requests) {
    if (!isHeld || !assignment) continue;
    const { engine, attempt } = assignment;
    const entry = byEngine.get(engine.key) ?? { engineId: engine.id, engineEpoch: engine.epoch, requests: [] };
    entry.requests.push([slot, attempt]);
    byEngine.set(engine.key, entry);
  }
  return [...byEngine.values()];
}
