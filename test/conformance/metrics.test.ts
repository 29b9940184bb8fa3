/** /metrics of the running server: the names that dashboards ask for, exact counts, and gauges that return to zero. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHAT, serverForFile, TEXT, user } from '../support/json-client.ts';

const client = serverForFile();
const { server } = client;

/** Of FastDeploy's and vLLM's metrics, those that a server without drafts, adapters and a second cache tier has. */
const NAMES = [
  ...['num_requests_running', 'num_requests_waiting', 'requests_number_total', 'request_success_total', 'request_preempted_total'].map(
    (name) => `fastdeploy:${name}`,
  ),
  ...['prompt_tokens_total', 'generation_tokens_total', 'gpu_cache_usage_perc', 'max_gpu_block_num', 'available_gpu_block_num'].map(
    (name) => `fastdeploy:${name}`,
  ),
  ...['batch_size', 'max_batch_size', 'prefix_cache_token_num_total'].map((name) => `fastdeploy:${name}`),
  ...['num_requests_running', 'num_requests_waiting', 'request_success_total', 'num_preemptions_total'].map((name) => `vllm:${name}`),
  ...['prompt_tokens_total', 'generation_tokens_total', 'kv_cache_usage_perc'].map((name) => `vllm:${name}`),
  ...['prefix_cache_queries_total', 'prefix_cache_hits_total'].map((name) => `vllm:${name}`),
];
const HISTOGRAMS = [
  ...['time_to_first_token_seconds', 'time_per_output_token_seconds', 'e2e_request_latency_seconds', 'request_queue_time_seconds'],
  ...['request_decode_time_seconds', 'request_prompt_tokens', 'request_generation_tokens'],
];

test('the metrics of FastDeploy and vLLM are plain text, all there, and none is negative', async () => {
  const { status, headers, text } = await client.get('/metrics');
  assert.equal(status, 200);
  assert.match(headers.get('content-type') ?? '', /^text\/plain/);
  for (const name of NAMES) assert.match(text, new RegExp(`^# TYPE ${name} `, 'm'), name);
  for (const name of HISTOGRAMS) {
    for (const prefix of ['fastdeploy', 'vllm']) assert.match(text, new RegExp(`^# TYPE ${prefix}:${name} histogram$`, 'm'));
  }
  const values = await server.metrics();
  for (const name of NAMES) for (const [key, value] of values) if (key.startsWith(name)) assert.ok(value >= 0, `${key} ${value}`);
});

test('tokens and requests are counted exactly, errors apart', async () => {
  const counters = ['prompt_tokens_total', 'generation_tokens_total', 'requests_number_total', 'request_success_total'];
  const read = () => Promise.all(counters.map((name) => server.metric(`fastdeploy:${name}`)));
  const refusals = async () => {
    let sum = 0;
    for (const [key, value] of await server.metrics()) if (/^http_requests_total\{.*"400"/.test(key)) sum += value;
    return sum;
  };
  const [before, refusedBefore] = [await read(), await refusals()];
  const expected = [0, 0, 0, 0];
  for (const [path, body] of [
    [CHAT, { messages: user('Hello!'), max_tokens: 7, ignore_eos: true }],
    [CHAT, { messages: user('Hello!'), max_tokens: 5, ignore_eos: true, n: 3 }],
    [TEXT, { prompt: 'Once', max_tokens: 4, ignore_eos: true }],
  ] as const) {
    const { usage } = await client.ask(path, body);
    for (const [i, more] of [usage.prompt_tokens, usage.completion_tokens, 1, 1].entries()) expected[i] = expected[i]! + more;
  }
  for (let i = 0; i < 3; i++) await client.refusal(CHAT, {});
  expected[2]! += 3; // requests that came, refused ones too
  const goal = expected.map((more, i) => before[i]! + more);
  // The engine's own counters come with its next beat.
  while ((await read()).some((value, i) => value < goal[i]!)) await server.tick('waiting for the counters');
  assert.deepEqual(await read(), goal);
  assert.equal((await refusals()) - refusedBefore, 3);
});

test('the gauges show what runs, and return to zero when it is aborted', async () => {
  const gauges = () => Promise.all(['num_requests_running', 'num_requests_waiting'].map((name) => server.metric(`vllm:${name}`)));
  const controller = new AbortController();
  const body = JSON.stringify({ messages: user('Hello!'), n: 4, max_tokens: 1900, ignore_eos: true });
  const running = fetch(server.url + CHAT, { method: 'POST', body, signal: controller.signal });
  const rejected = assert.rejects(running);
  while ((await gauges())[0] === 0) await server.tick('waiting for the request to run');
  controller.abort();
  await rejected;
  while ((await gauges()).some((value) => value !== 0)) await server.tick('waiting for the gauges to return to zero');
  assert.equal((await client.get('/health')).status, 200);
});
