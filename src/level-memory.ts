/**
 * Keeps a process's memory level. V8 lets the old generation grow to a multiple of what lives before it collects it, so that a server
 * seems to leak for its first minutes. A full collection stops everything for 20 to 200 ms: it is made only while nobody is served.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const CHECK_MS = 1000;
/** Growth over the memory after the last collection at which the next one is due. */
const GROWTH = 1.02;

export function keepMemoryLevel(isIdle: () => boolean): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let levelBytes = 0;
  setInterval(() => {
    if (!isIdle() || process.memoryUsage.rss() <= levelBytes * GROWTH) return;
    collect();
    levelBytes = process.memoryUsage.rss();
  }, CHECK_MS).unref();
}
