import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call, HELLO, testApi } from '../support/api-client.ts';
import { FakePooler } from '../support/fake-services.ts';

const EMBEDDINGS = '/v1/embeddings';

test('an embedding is the hidden state, normalised', async () => {
  const { api, pooler } = testApi();
  const { status, json } = await call(api, EMBEDDINGS, { body: { input: 'Hello', model: 'any', request_id: 'x' } });
  assert.equal(status, 200);
  const { created, ...reply } = json;
  assert.ok(Number.isInteger(created));
  assert.deepEqual(reply, {
    id: 'embd-x',
    object: 'list',
    model: 'troupe-mini',
    data: [{ index: 0, object: 'embedding', embedding: [3, 4, 0, 0].map((value) => Math.fround(value / 5)) }],
    usage: { prompt_tokens: 5, completion_tokens: 0, total_tokens: 5, prompt_tokens_details: { cached_tokens: 2 } },
  });
  const prompt = { type: 'text', param: 'input', text: 'Hello', addSpecialTokens: true };
  assert.deepEqual(pooler.requests, [{ requestId: 'embd-x', prompt, truncatePromptTokens: undefined, priority: 0 }]);
});

test('base64 is the same vector as float32, little endian', async () => {
  const { api } = testApi();
  const { json } = await call(api, EMBEDDINGS, { body: { input: 'Hello', encoding_format: 'base64' } });
  const bytes = Buffer.from(json.data[0].embedding, 'base64');
  assert.deepEqual([bytes.length, bytes.readFloatLE(0), bytes.readFloatLE(4)], [16, Math.fround(0.6), Math.fround(0.8)]);
});

test('texts, token ids and lists of them come back in their order', async () => {
  const { api, pooler } = testApi({
    pooler: new FakePooler([
      [1, 0],
      [0, 1],
      [-1, 0],
    ]),
  });
  const { json } = await call(api, EMBEDDINGS, { body: { input: ['a', 'b', 'c'], request_id: 'batch' } });
  assert.deepEqual(
    json.data.map(({ index, embedding }: { index: number; embedding: number[] }) => [index, embedding]),
    [
      [0, [1, 0]],
      [1, [0, 1]],
      [2, [-1, 0]],
    ],
  );
  assert.deepEqual(json.usage.prompt_tokens, 15);
  assert.deepEqual(
    pooler.requests.map(({ requestId, batchId }) => [requestId, batchId]),
    [
      ['embd-batch_0', 'embd-batch'],
      ['embd-batch_1', 'embd-batch'],
      ['embd-batch_2', 'embd-batch'],
    ],
  );
  await call(api, EMBEDDINGS, { body: { input: [7, 8, 9] } });
  assert.deepEqual(pooler.requests.at(-1)!.prompt, { type: 'tokens', param: 'input', tokenIds: [7, 8, 9] });
  await call(api, EMBEDDINGS, { body: { input: [[7], [8, 9]] } });
  assert.deepEqual(pooler.requests.at(-1)!.prompt, { type: 'tokens', param: 'input[1]', tokenIds: [8, 9] });
});

test('messages are rendered without a generation prompt, unless one is asked for', async () => {
  const { api, pooler } = testApi();
  assert.equal((await call(api, EMBEDDINGS, { body: { messages: HELLO } })).status, 200);
  const [request] = pooler.requests;
  assert.ok(request!.prompt.type === 'chat');
  assert.deepEqual([request!.prompt.messages, request!.prompt.addGenerationPrompt], [HELLO, false]);
  await call(api, EMBEDDINGS, { body: { messages: HELLO, add_generation_prompt: true } });
  assert.ok(pooler.requests[1]!.prompt.type === 'chat' && pooler.requests[1]!.prompt.addGenerationPrompt);
});

test('dimensions cut the vector, which is then normalised; normalize false leaves it as it is', async () => {
  const { api } = testApi({ pooler: new FakePooler([[3, 4, 12]]), model: { hiddenSize: 3 } });
  const embedding = async (fields: object) => (await call(api, EMBEDDINGS, { body: { input: 'x', ...fields } })).json.data[0].embedding;
  assert.deepEqual(await embedding({ dimensions: 2 }), [Math.fround(0.6), Math.fround(0.8)]);
  assert.deepEqual(await embedding({ dimensions: 2, normalize: false }), [3, 4]);
  assert.deepEqual(await embedding({ normalize: false }), [3, 4, 12]);
});

test('a vector of zeros stays one', async () => {
  const { api } = testApi({ pooler: new FakePooler([[0, 0]]) });
  assert.deepEqual((await call(api, EMBEDDINGS, { body: { input: 'x' } })).json.data[0].embedding, [0, 0]);
});

for (const [what, body, param, message] of [
  ['no input', {}, 'input', /Field required/],
  ['an empty list', { input: [] }, 'input', /at least 1 item/],
  ['a mixed list', { input: ['a', 1] }, 'input', /each item type/],
  ['an empty list of ids', { input: [[1], []] }, 'input[1]', /at least 1 item/],
  ['input and messages', { input: 'a', messages: HELLO }, 'input', /either `input` or `messages`/],
  ['no messages', { messages: [] }, 'messages', /must not be empty/],
  ['an unknown format', { input: 'a', encoding_format: 'int8' }, 'encoding_format', /float or base64/],
  ['no dimensions', { input: 'a', dimensions: 0 }, 'dimensions', /greater than or equal to 1/],
  ['too many dimensions', { input: 'a', dimensions: 65 }, 'dimensions', /hidden size, 64/],
  ['a truncation to nothing', { input: 'a', truncate_prompt_tokens: 0 }, 'truncate_prompt_tokens', /-1 or greater than 0/],
  ['a negative truncation', { input: 'a', truncate_prompt_tokens: -2 }, 'truncate_prompt_tokens', /greater than or equal to -1/],
  [
    'both ways to end a chat',
    { messages: HELLO, continue_final_message: true, add_generation_prompt: true },
    'continue_final_message',
    /Cannot set both/,
  ],
  ['too many inputs', { input: new Array(2049).fill('a') }, 'input', /at most 2048/],
] as const) {
  test(`400 names the field: ${what}`, async () => {
    const { api, pooler } = testApi({ model: { hiddenSize: 64 } });
    const { status, json } = await call(api, EMBEDDINGS, { body });
    assert.equal(status, 400);
    assert.equal(json.error.param, param);
    assert.match(json.error.message, message);
    assert.equal(pooler.requests.length, 0);
  });
}

test('a server for one task answers the other with 400 and the flag', async () => {
  const generate = testApi({ runner: 'generate' });
  const refused = await call(generate.api, EMBEDDINGS, { body: { input: 'x' } });
  assert.equal(refused.status, 400);
  assert.match(refused.json.error.message, /--runner pooling/);
  const pooling = testApi({ runner: 'pooling' });
  assert.equal((await call(pooling.api, EMBEDDINGS, { body: { input: 'x' } })).status, 200);
  for (const [path, body] of [
    ['/v1/chat/completions', { messages: HELLO }],
    ['/v1/completions', { prompt: 'x' }],
  ] as const) {
    const { status, json } = await call(pooling.api, path, { body });
    assert.equal(status, 400);
    assert.match(json.error.message, /--runner pooling\): use \/v1\/embeddings/);
  }
});

test('one request line is logged, with the number of inputs', async () => {
  const { api, logs } = testApi();
  await call(api, EMBEDDINGS, { body: { input: ['a', 'b'], request_id: 'x' } });
  const lines = logs.filter((line) => line.msg === 'request');
  assert.equal(lines.length, 1);
  const { requestId, route, numChoices, promptTokens, finishReason } = lines[0]!;
  assert.deepEqual([requestId, route, numChoices, promptTokens, finishReason], ['embd-x', EMBEDDINGS, 2, 10, 'stop']);
});

test('an id that is still running is refused, and free again when it is over', async () => {
  let open!: () => void;
  const gate = new Promise<void>((resolve) => (open = resolve));
  class SlowPooler extends FakePooler {
    override async pool(...args: Parameters<FakePooler['pool']>) {
      await gate;
      return await super.pool(...args);
    }
  }
  const { api } = testApi({ pooler: new SlowPooler() });
  const body = { input: 'x', request_id: 'same' };
  const first = call(api, EMBEDDINGS, { body });
  const second = await call(api, EMBEDDINGS, { body });
  assert.deepEqual([second.status, second.json.error.param], [400, 'request_id']);
  open();
  assert.equal((await first).status, 200);
  assert.equal((await call(api, EMBEDDINGS, { body })).status, 200);
});
