import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServer } from '../support/server.ts';

test('--request-timeout ends a request that names no timeout with 408, and leaves one that names its own alone', async (t) => {
  const server = await startServer(t, ['--request-timeout', '0.02']).ready();
  const body = { messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 1000, ignore_eos: true };
  const post = (fields: object) =>
    fetch(`${server.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify({ ...body, ...fields }) });
  const ended = await post({});
  assert.equal(ended.status, 408);
  assert.equal(((await ended.json()) as { error: { message: string } }).error.message, 'The request did not finish within its 0.02 s.');
  assert.equal((await post({ max_tokens: 2, timeout: 60 })).status, 200);
});
