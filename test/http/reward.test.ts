import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call, HELLO, testApi } from '../support/api-client.ts';

const REWARD = '/v1/reward';
const scoreOf = (hidden: Float32Array): Float32Array => Float32Array.of(hidden[0]! + hidden[1]!, -hidden[0]!);

test("a conversation's scores come in FastDeploy's shape, from the state that is not normalised", async () => {
  const { api, pooler } = testApi({ scoreOf });
  const { status, json } = await call(api, REWARD, { body: { messages: HELLO, request_id: 'r', normalize: true, dimensions: 1 } });
  assert.equal(status, 200);
  const { created, ...reply } = json;
  assert.ok(Number.isInteger(created));
  assert.deepEqual(reply, {
    id: 'reward-r',
    object: 'object',
    model: 'troupe-mini',
    data: [{ index: 0, object: 'reward', score: [7, -3] }],
    usage: { prompt_tokens: 5, completion_tokens: 0, total_tokens: 5, prompt_tokens_details: { cached_tokens: 2 } },
  });
  assert.ok(pooler.requests[0]!.prompt.type === 'chat' && !pooler.requests[0]!.prompt.addGenerationPrompt);
});

test('a model without a reward head answers 400 and says what is missing', async () => {
  const { status, json } = await call(testApi().api, REWARD, { body: { messages: HELLO } });
  assert.equal(status, 400);
  assert.match(json.error.message, /no reward head \(score\.weight/);
});

test('messages are required', async () => {
  const { status, json } = await call(testApi({ scoreOf }).api, REWARD, { body: {} });
  assert.deepEqual([status, json.error.param, json.error.code], [400, 'messages', 'missing_required_parameter']);
});
