import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mergeMetrics } from '../../src/telemetry/merge-metrics.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';

const load = { numRunning: 3, numWaiting: 0, maxNumSeqs: 8, numBlocks: 10, numUsedBlocks: 4, numCachedBlocks: 0, queuedPrefillTokens: 0 };

async function frontend(name: string, numRequests: number, promptTokens: number) {
  const metrics = createMetrics({ modelName: 'mini', processMetrics: false });
  for (let i = 0; i < numRequests; i++) metrics.observeHttp({ method: 'GET', route: '/v1/models', status: 200, seconds: 0.01 });
  metrics.setEngineLoad('engine-0', load, { prompt_tokens_total: promptTokens });
  return { frontend: name, json: await metrics.snapshot() };
}

const values = (text: string, name: string): Record<string, number> =>
  Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`))
      .map((line) => [/frontend="([^"]*)"/.exec(line)?.[1] ?? '', Number(line.slice(line.lastIndexOf(' ')))]),
  );

test("each frontend's own series has its label, and an engine's series is told once", async () => {
  const text = await mergeMetrics([await frontend('frontend-0', 2, 500), await frontend('frontend-1', 5, 90)]);
  assert.deepEqual(values(text, 'http_requests_total'), { 'frontend-0': 2, 'frontend-1': 5 });
  assert.deepEqual(values(text, 'http_request_duration_seconds_count'), { 'frontend-0': 2, 'frontend-1': 5 });
  assert.deepEqual(values(text, 'troupe:num_requests_running'), { '': 3 });
  assert.deepEqual(values(text, 'vllm:num_requests_running'), { '': 3 });
  assert.deepEqual(values(text, 'troupe:prompt_tokens_total'), { '': 500 }, 'the latest total');
  assert.equal(text.match(/# TYPE http_requests_total counter/g)?.length, 1);
});
