import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call, HELLO, testApi } from '../support/api-client.ts';

const CONTROL_ID = /^control-[0-9a-f-]{36}$/;

test("an abort answers in FastDeploy's envelope", async () => {
  const { api, operations } = testApi();
  operations.result = { aborted: ['chatcmpl-a'], notFound: ['b'] };
  const { status, json } = await call(api, '/v1/abort_requests', { body: { req_ids: ['a', 'b'] } });
  const { request_id, ...envelope } = json;
  assert.match(request_id, CONTROL_ID);
  assert.deepEqual([status, envelope], [200, { status: 'success', error: null, result: { aborted: ['chatcmpl-a'], not_found: ['b'] } }]);
  await call(api, '/v1/abort_requests', { body: { abort_all: true } });
  assert.deepEqual(operations.aborts, [['a', 'b'], 'all']);
});

for (const body of [{}, { abort_all: false }, { req_ids: [] }, '']) {
  test(`an abort of nothing is 400: ${JSON.stringify(body)}`, async () => {
    const { api, operations } = testApi();
    const { status, json } = await call(api, '/v1/abort_requests', { method: 'POST', body });
    assert.deepEqual([status, json.error.message], [400, 'must provide abort_all=true or req_ids']);
    assert.deepEqual(operations.aborts, []);
  });
}

test('ids that are not text, and a flag that is not one, are named', async () => {
  const { api } = testApi();
  const ids = await call(api, '/v1/abort_requests', { body: { req_ids: ['a', 1] } });
  assert.deepEqual([ids.status, ids.json.error.param], [400, 'req_ids[1]']);
  const all = await call(api, '/v1/abort_requests', { body: { abort_all: 'yes' } });
  assert.deepEqual([all.status, all.json.error.param], [400, 'abort_all']);
});

test('a pause takes its mode from the body or the query, aborts by default, and is undone', async () => {
  const { api, operations } = testApi();
  const isPaused = async () => (await call(api, '/v1/is_paused')).json.result;
  assert.deepEqual(await isPaused(), { is_paused: false });
  const paused = await call(api, '/v1/pause', { method: 'POST' });
  assert.match(paused.json.request_id, CONTROL_ID);
  assert.deepEqual(paused.json.result, { is_paused: true, mode: 'abort' });
  await call(api, '/v1/pause', { body: { mode: 'wait' } });
  assert.deepEqual(await isPaused(), { is_paused: true, mode: 'wait' });
  await api.handle({
    method: 'POST',
    path: '/v1/pause',
    query: 'mode=keep',
    headers: {},
    body: new Uint8Array(),
    signal: new AbortController().signal,
  });
  assert.deepEqual(operations.state, { isPaused: true, mode: 'keep' });
  assert.deepEqual((await call(api, '/v1/resume', { method: 'POST' })).json.result, { is_paused: false });
});

test('an unknown mode is refused with the known ones', async () => {
  const { api, operations } = testApi();
  const { status, json } = await call(api, '/v1/pause', { body: { mode: 'sleep' } });
  assert.deepEqual([status, json.error.param, json.error.message], [400, 'mode', 'mode must be one of abort, wait, keep']);
  assert.equal(operations.state.isPaused, false);
});

test('a paused server is not ready, is healthy, and says why', async () => {
  const { api, generator } = testApi();
  generator.state = { state: 'paused', reason: 'An operator paused the server (mode keep).' };
  const ready = await call(api, '/ready');
  assert.deepEqual([ready.status, ready.json], [503, { status: 'paused', reason: 'An operator paused the server (mode keep).' }]);
  const health = await call(api, '/health');
  assert.deepEqual([health.status, health.json.status], [200, 'paused']);
});

test('config-info has the settings, the model and the engines', async () => {
  const { api } = testApi();
  const { status, json } = await call(api, '/config-info');
  assert.equal(status, 200);
  assert.deepEqual(json, {
    config: { max_num_seqs: 4 },
    version_info: { troupe: '1.2.3', node: process.version },
    served_model_names: ['troupe-mini'],
    max_model_len: 2048,
    vocab_size: 4096,
    state: 'ready',
    is_paused: false,
    engines: [
      {
        id: 'engine-0',
        state: 'serving',
        fingerprint: 'abc',
        num_running: 1,
        num_waiting: 0,
        max_num_seqs: 4,
        num_blocks: 8,
        num_used_blocks: 2,
        num_cached_blocks: 3,
        queued_prefill_tokens: 0,
      },
    ],
  });
});

test('tokenize gives ids and their number, names when asked, and the model length', async () => {
  const { api } = testApi();
  const plain = await call(api, '/tokenize', { body: { prompt: 'Hi' } });
  assert.deepEqual(plain.json, { count: 2, max_model_len: 2048, tokens: [72, 105], token_strs: null });
  const named = await call(api, '/v1/tokenize', { body: { prompt: 'Hi', return_token_strs: true, model: 'troupe-mini' } });
  assert.deepEqual(named.json.token_strs, ['H', 'i']);
});

test('tokenize takes messages, and detokenize gives the text back', async () => {
  const { api } = testApi();
  const { json } = await call(api, '/tokenize', { body: { messages: HELLO } });
  const text = await call(api, '/detokenize', { body: { tokens: json.tokens } });
  assert.deepEqual(text.json, { prompt: JSON.stringify(HELLO) });
});

for (const [path, body, param] of [
  ['/tokenize', {}, 'prompt'],
  ['/tokenize', { prompt: 5 }, 'prompt'],
  ['/tokenize', { prompt: 'x', messages: HELLO }, 'prompt'],
  ['/tokenize', { messages: [] }, 'messages'],
  ['/detokenize', {}, 'tokens'],
  ['/detokenize', { tokens: 'x' }, 'tokens'],
  ['/detokenize', { tokens: [1, -1] }, 'tokens[1]'],
] as const) {
  test(`400 names the field: ${path} ${JSON.stringify(body)}`, async () => {
    const { status, json } = await call(testApi().api, path, { body });
    assert.deepEqual([status, json.error.param], [400, param]);
  });
}
