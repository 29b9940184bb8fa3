import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EngineLoad } from '../../src/core/engine-load.ts';
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts';
import { CHAT, call, HELLO, testApi } from '../support/api-client.ts';

const LOAD: EngineLoad = {
  numRunning: 3,
  numWaiting: 2,
  maxNumSeqs: 8,
  numBlocks: 100,
  numUsedBlocks: 25,
  numCachedBlocks: 10,
  queuedPrefillTokens: 77,
};
const OBSERVATION = {
  promptTokens: 12,
  completionTokens: 34,
  queueMs: 5,
  ttftMs: 50,
  tpotMs: 20,
  e2eMs: 1000,
  finishReason: 'stop',
  numAttempts: 1,
  maxTokens: 200,
  numChoices: 2,
} as const;

async function samples(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

describe('metrics', () => {
  it('show an engine load under our names, FastDeploy’s and vLLM’s', async () => {
    const metrics = createMetrics({ processMetrics: false });
    metrics.setEngineLoad('e0', LOAD, { prefix_cache_queries_total: 40, prefix_cache_hits_total: 30, preemptions_total: 1 });
    const values = await samples(metrics);
    for (const prefix of ['troupe', 'fastdeploy', 'vllm']) {
      assert.equal(values.get(`${prefix}:num_requests_running{engine="e0"}`), 3);
      assert.equal(values.get(`${prefix}:num_requests_waiting{engine="e0"}`), 2);
    }
    assert.equal(values.get('troupe:kv_cache_usage_ratio{engine="e0"}'), 0.25);
    assert.equal(values.get('fastdeploy:gpu_cache_usage_perc{engine="e0"}'), 0.25);
    assert.equal(values.get('vllm:kv_cache_usage_perc{engine="e0"}'), 0.25);
    assert.equal(values.get('vllm:prefix_cache_queries_total{engine="e0"}'), 40);
    assert.equal(values.get('vllm:prefix_cache_hits_total{engine="e0"}'), 30);
    assert.equal(values.get('vllm:num_preemptions_total{engine="e0"}'), 1);
    assert.equal(values.get('troupe:generation_tokens_total{engine="e0"}'), 0);
    assert.equal(values.get('fastdeploy:available_gpu_resource{engine="e0"}'), 0.75);
    assert.equal(values.get('fastdeploy:available_batch_size{engine="e0"}'), 5);
    assert.equal(values.get('fastdeploy:num_requests_enqueued{engine="e0"}'), 2);
    assert.equal(values.get('fastdeploy:hit_token_rate{engine="e0"}'), 0.75);
  });

  it('add up what an engine counts, over its restarts', async () => {
    const metrics = createMetrics({ processMetrics: false });
    for (const generation_tokens_total of [10, 25, 25, 4, 9]) metrics.setEngineLoad('e0', LOAD, { generation_tokens_total });
    metrics.removeEngine('e0');
    const values = await samples(metrics);
    assert.equal(values.get('troupe:generation_tokens_total{engine="e0"}'), 34);
    assert.equal(values.get('troupe:num_requests_running{engine="e0"}'), undefined);
  });

  it('show a request in histograms and counters, the same in each alias', async () => {
    const metrics = createMetrics({ processMetrics: false });
    metrics.observeRequest(OBSERVATION);
    metrics.observeRequest({ ...OBSERVATION, finishReason: 'abort', ttftMs: null, tpotMs: null, queueMs: null, numAttempts: 3 });
    const values = await samples(metrics);
    for (const prefix of ['troupe', 'fastdeploy', 'vllm']) {
      assert.equal(values.get(`${prefix}:time_to_first_token_seconds_sum`), 0.05);
      assert.equal(values.get(`${prefix}:time_to_first_token_seconds_count`), 1);
      assert.equal(values.get(`${prefix}:time_to_first_token_seconds_bucket{le="0.04"}`), 0);
      assert.equal(values.get(`${prefix}:time_to_first_token_seconds_bucket{le="0.06"}`), 1);
      assert.equal(values.get(`${prefix}:e2e_request_latency_seconds_count`), 2);
      assert.equal(values.get(`${prefix}:request_prefill_time_seconds_sum`), 0.045);
      assert.equal(values.get(`${prefix}:request_inference_time_seconds_sum`), 0.995);
      assert.equal(values.get(`${prefix}:request_params_max_tokens_sum`), 400);
    }
    assert.equal(values.get('troupe:request_success_total{finish_reason="abort"}'), 1);
    assert.equal(values.get('vllm:request_success_total{finished_reason="stop"}'), 1);
    assert.equal(values.get('troupe:requests_continued_total'), 2);
    assert.equal(values.get('fastdeploy:first_token_latency'), 0.05);
    assert.equal(values.get('fastdeploy:infer_latency'), 0.02);
    assert.equal(values.get('vllm:request_params_n_sum'), 4);
  });

  it('name each metric once, with its type', async () => {
    const metrics = createMetrics({ modelName: 'mini', processMetrics: false });
    metrics.observeRequest(OBSERVATION);
    const types = (await metrics.text()).split('\n').filter((line) => line.startsWith('# TYPE'));
    assert.equal(new Set(types.map((line) => line.split(' ')[2])).size, types.length);
    assert.match(await metrics.text(), /vllm:e2e_request_latency_seconds_count\{model_name="mini"\} 1/);
  });

  it('of two servers in one process do not meet', async () => {
    const [a, b] = [createMetrics(), createMetrics()];
    a.countReceived();
    assert.equal((await samples(a)).get('troupe:requests_received_total'), 1);
    assert.equal((await samples(b)).get('troupe:requests_received_total'), 0);
  });

  it('are served, and count HTTP requests by the paths of the table only', async () => {
    const { api } = testApi();
    await call(api, CHAT, { body: { messages: HELLO } });
    await call(api, CHAT, { body: { messages: HELLO, stream: true } });
    await call(api, CHAT, { body: {} });
    await call(api, '/wp-admin.php', { method: 'BREW' });
    const { text, headers } = await call(api, '/metrics');
    assert.match(headers['content-type'] ?? '', /^text\/plain; version=0\.0\.4/);
    const count = (method: string, path: string, status: number) =>
      Number(
        new RegExp(`^http_requests_total\\{method="${method}",path="${path}",.*status_code="${status}".*\\} (\\d+)$`, 'm').exec(text)?.[1],
      );
    assert.deepEqual([count('POST', CHAT, 200), count('POST', CHAT, 400), count('other', 'other', 404)], [2, 1, 1]);
    assert.match(text, /^fastdeploy:requests_number_total 3$/m);
  });

  it('count a client that leaves before it is accepted as 499, not as a failure of the server', async () => {
    const leaving = new AbortController();
    const refuse = () => {
      leaving.abort();
      return new DOMException('The request was cancelled by its client.', 'AbortError');
    };
    const { api, metrics, logs } = testApi({ refuse });
    await call(api, CHAT, { body: { messages: HELLO }, signal: leaving.signal });
    const counted = (await metrics.text()).split('\n').filter((line) => line.startsWith('http_requests_total{'));
    assert.equal(counted.length, 1);
    assert.match(counted[0] ?? '', /status_code="499".* 1$/);
    assert.deepEqual(
      logs.map(({ msg, level }) => [msg, level]),
      [['request abandoned', 'info']],
    );
  });
});
