import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHAT, call, HELLO, testApi } from '../support/api-client.ts';

/** Field, the longest list that is taken, one more, and what its refusal says. */
const LISTS: readonly [string, unknown, unknown, RegExp][] = [
  [
    'messages',
    Array(16_384).fill(HELLO[0]),
    Array(16_385).fill(HELLO[0]),
    /^List should have at most 16384 items after validation, not 16385$/,
  ],
  ['stop_token_ids', Array(4096).fill(1), Array(4097).fill(1), /at most 4096 items/],
  ['bad_words_token_ids', Array(4096).fill(1), Array(4097).fill(1), /at most 4096 items/],
  ['bad_words', Array(1024).fill('a'), Array(1025).fill('a'), /at most 1024 items/],
  ['bad_words', ['a'.repeat(16_000), 'b'.repeat(384)], ['a'.repeat(16_000), 'b'.repeat(385)], /at most 16384 characters together/],
  ['logit_bias', biases(16_384), biases(16_385), /at most 16384 items/],
];

function biases(count: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, id) => [String(id), 1]));
}

for (const [field, longest, tooLong, message] of LISTS) {
  test(`${field} is taken at its limit and refused beyond it: ${message.source}`, async () => {
    const { api } = testApi({ maxBodyBytes: 1 << 24 });
    assert.equal((await call(api, CHAT, { body: { messages: HELLO, [field]: longest } })).status, 200);
    const { status, json } = await call(api, CHAT, { body: { messages: HELLO, [field]: tooLong } });
    assert.deepEqual([status, json.error.param, json.error.code], [400, field, 'invalid_value']);
    assert.match(json.error.message, message);
  });
}

test('messages that are token ids may be as many as the context takes', async () => {
  const { api } = testApi({ maxBodyBytes: 1 << 24 });
  assert.equal((await call(api, CHAT, { body: { messages: Array(20_000).fill(1) } })).status, 200);
});

test("a seed may be as large as FastDeploy's, and the refusal spells the limit with all its digits", async () => {
  const { api, generator } = testApi();
  const body = (seed: string) => `{"messages":${JSON.stringify(HELLO)},"seed":${seed}}`;
  for (const seed of ['0', '9007199254740993', '922337203685477580'])
    assert.equal((await call(api, CHAT, { body: body(seed) })).status, 200);
  assert.deepEqual(
    generator.requests.map((request) => request.seed),
    [0n, 9007199254740992n, 922337203685477632n],
    'above 2^53 JSON numbers are doubles',
  );
  const { status, json } = await call(api, CHAT, { body: body('922337203685478000') });
  assert.deepEqual(
    [status, json.error.param, json.error.message],
    [400, 'seed', 'Input should be less than or equal to 922337203685477580'],
  );
});
