import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineEntry } from '../../src/actors/directory.ts';
import { ThroughputLog } from '../../src/actors/throughput-log.ts';
import { silentLog } from '../support/silent-log.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const engine = (incarnation: number, counters: Record<string, number>, numRunning = 0): EngineEntry => ({
  id: 'engine-0',
  epoch: [incarnation, 1],
  key: `engine-0.${incarnation}-1`,
  peerId: 'peer',
  state: 'serving',
  fingerprint: '',
  reason: null,
  pauseRevision: 0,
  trial: null,
  blockSize: null,
  numPromptTokensSentSinceBeat: 0,
  credit: null,
  heardAt: 0,
  load: { numRunning, numWaiting: 1, maxNumSeqs: 8, numBlocks: 40, numUsedBlocks: 10, numCachedBlocks: 0, queuedPrefillTokens: 0 },
  counters,
  numSentSinceBeat: 0,
});

test('a line tells the rates since the last one, a quiet server says nothing, a new engine starts from zero', async () => {
  const clock = new VirtualClock();
  const lines: string[] = [];
  const log = new ThroughputLog(clock, { ...silentLog, info: (_facts, message) => void lines.push(message) });
  const totals = (prompt: number, generation: number) => ({ prompt_tokens_total: prompt, generation_tokens_total: generation });
  const report = async (...engines: EngineEntry[]) => {
    await clock.advance(10_000);
    log.report(engines);
  };
  await report();
  await report(engine(1, { ...totals(100, 50), prefix_cache_queries_total: 100, prefix_cache_hits_total: 25 }, 3));
  await report(engine(1, { ...totals(300, 450), prefix_cache_queries_total: 300, prefix_cache_hits_total: 125 }, 3));
  await report(engine(2, totals(20, 10), 0));
  assert.deepEqual(lines, [
    'prompt 10.0 tok/s, generation 5.0 tok/s, running 3, waiting 1, KV cache 25.0 %, prefix hits 25.0 %',
    'prompt 20.0 tok/s, generation 40.0 tok/s, running 3, waiting 1, KV cache 25.0 %, prefix hits 50.0 %',
    'prompt 2.0 tok/s, generation 1.0 tok/s, running 0, waiting 1, KV cache 25.0 %, prefix hits 0.0 %',
  ]);
});
