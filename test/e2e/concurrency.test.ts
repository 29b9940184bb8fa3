/** FastDeploy's test of --max-concurrency, against the real server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServer } from '../support/server.ts';

test('--max-concurrency 5: of ten parallel requests exactly five are answered and five are 429', async (t) => {
  const server = await startServer(t, ['--max-concurrency', '5']).ready();
  const body = { messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 1000, ignore_eos: true, stream: true };
  const post = () => fetch(`${server.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body) });
  const replies = await Promise.all(Array.from({ length: 10 }, post));
  assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 200, 200, 200, 200, 429, 429, 429, 429, 429]);
  for (const reply of replies) {
    const text = await reply.text();
    if (reply.status === 200) assert.match(text, /\[DONE\]/);
    else {
      assert.equal(JSON.parse(text).error.message, 'Too many requests,current max concurrency is 5');
      assert.equal(reply.headers.get('retry-after'), '1');
    }
  }
  const again = await post();
  assert.equal(again.status, 200);
  await again.body?.cancel();
});

test('every reply has the x-request-id that its client chose, or one of ours', async (t) => {
  const server = await startServer(t, ['--api-key', 'k', '--max-body-bytes', '1000']).ready();
  const chat = '/v1/chat/completions';
  const hello = { messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 2 };
  const authorization = 'Bearer k';
  const post = (body: unknown) => ({ method: 'POST', body: JSON.stringify(body) });
  for (const [status, path, init, headers] of [
    [200, chat, post(hello), { authorization }],
    [200, chat, post({ ...hello, stream: true }), { authorization }],
    [204, chat, { method: 'OPTIONS' }, {}],
    [400, chat, post({}), { authorization }],
    [401, chat, post(hello), {}],
    [404, '/nowhere', {}, {}],
    [405, chat, {}, { authorization }],
    [413, chat, post({ user: 'x'.repeat(2000) }), { authorization }],
  ] as const) {
    const ours = await fetch(server.url + path, { ...init, headers });
    assert.equal(ours.status, status);
    assert.match(ours.headers.get('x-request-id') ?? '', /^(req|chatcmpl)-[0-9a-f-]{36}$/, String(status));
    const theirs = await fetch(server.url + path, { ...init, headers: { ...headers, 'x-request-id': 'mine-1' } });
    assert.equal(theirs.headers.get('x-request-id'), 'mine-1', String(status));
    await Promise.all([ours.arrayBuffer(), theirs.arrayBuffer()]);
  }
});
