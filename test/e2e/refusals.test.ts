/** What a client is told that comes too early, or when too many wait. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { temporaryFolder } from '../support/checkpoint-folder.ts';
import { largeModel } from '../support/large-model.ts';
import { startServer } from '../support/server.ts';
import { streamChat } from '../support/stream-chat.ts';

const hello = { messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 5 };
const post = (url: string): Promise<Response> => fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(hello) });

async function refusal(reply: Response): Promise<{ status: number; code: string; retryAfter: number }> {
  const { error } = (await reply.json()) as { error: { code: string; message: string } };
  assert.ok(error.message.length > 0);
  return { status: reply.status, code: error.code, retryAfter: Number(reply.headers.get('retry-after')) };
}

test('while the model loads the port listens and answers 503 model_loading with Retry-After; then it serves', async (t) => {
  const server = startServer(t, ['--model', largeModel(t), '--quantization', 'wint8', '--cache-dir', temporaryFolder(t)]);
  await server.listening();
  const { status, code, retryAfter } = await refusal(await post(server.url));
  assert.deepEqual([status, code], [503, 'model_loading']);
  assert.ok(retryAfter >= 1);
  assert.equal(await server.status('/ready'), 503);
  assert.equal(await server.status('/live'), 200);
  await server.ready();
  assert.equal((await post(server.url)).status, 200);
});

test('a full queue answers 429 queue_full with Retry-After, and those who run or wait finish', async (t) => {
  const server = await startServer(t, ['--scheduler-max-size', '1', '--max-num-seqs', '1']).ready();
  const long = { ...hello, max_tokens: 1500, ignore_eos: true, temperature: 0 };
  const gauge = async (name: string, value: number): Promise<void> => {
    while ((await server.metric(name)) !== value) await server.tick(`waiting for ${name} to be ${value}`);
  };
  const running = streamChat(server.url, long);
  await gauge('troupe:num_requests_running', 1);
  const waiting = streamChat(server.url, long);
  await gauge('troupe:num_requests_waiting', 1);

  for (const reply of await Promise.all(Array.from({ length: 4 }, () => post(server.url)))) {
    const { status, code, retryAfter } = await refusal(reply);
    assert.deepEqual([status, code], [429, 'queue_full']);
    assert.ok(retryAfter >= 1);
  }
  for (const { finishReason, tokenIds } of [await running, await waiting]) {
    assert.equal(finishReason, 'length');
    assert.equal(tokenIds.length, 1500);
  }
  assert.equal((await post(server.url)).status, 200);
});
