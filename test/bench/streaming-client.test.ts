import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { getJson, getStatus, StreamReader, streamRequest } from '../../bench/streaming-client.ts';

const sse = (...chunks: object[]) => [...chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`), 'data: [DONE]\n\n'].join('');
const usage = { choices: [], usage: { prompt_tokens: 7, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 3 } } };

async function serve(t: TestContext, listener: RequestListener): Promise<URL> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

test('only chunks with text count as tokens arriving, the finish chunk ends the request, usage gives the counts', () => {
  const reader = new StreamReader();
  const push = (timeMs: number, ...chunks: object[]) => {
    for (const chunk of chunks) reader.push(Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`), timeMs);
  };
  push(1, { choices: [{ delta: { role: 'assistant', content: '' } }] });
  push(2, { choices: [{ delta: { reasoning_content: 'hm' } }] });
  push(3, { choices: [{ delta: { content: 'a' } }] });
  push(4, { choices: [{ delta: { content: '' }, finish_reason: 'stop' }] });
  push(5, usage);
  reader.push(Buffer.from('data: [DONE]\n\n'), 6);
  assert.deepEqual(reader.chunkMs, [2, 3]);
  assert.equal(reader.lastMs, 4);
  assert.equal(reader.usage?.completion_tokens, 5);
  assert.equal(reader.isDone, true);
});

test('a stream becomes a record', async (t) => {
  let path = '';
  let body = '';
  const url = await serve(t, async (request, response) => {
    path = request.url ?? '';
    for await (const piece of request) body += piece;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(sse({ choices: [{ text: 'a' }] }, { choices: [{ text: 'b' }] }, usage));
  });
  const record = await streamRequest(url, 'completions', { prompt: [1, 2] }, 0);
  assert.equal(path, '/v1/completions');
  assert.deepEqual(JSON.parse(body), { prompt: [1, 2] });
  assert.equal(record.error, null);
  assert.equal(record.chunkMs.length, 2);
  assert.deepEqual([record.promptTokens, record.outputTokens, record.cachedTokens], [7, 5, 3]);
  assert.ok(record.sentMs <= record.chunkMs[0]! && record.chunkMs[0]! <= record.lastMs);
});

test('what goes wrong stands in the record', async (t) => {
  const answers: Record<string, RequestListener> = {
    '429': (_, response) => response.writeHead(429).end('{"error":{"message":"queue full"}}'),
    'in the stream': (_, response) => response.writeHead(200).end(sse({ error: { message: 'the engine died' } })),
    cut: (_, response) => response.writeHead(200).end('data: {"choices":[{"text":"a"}]}\n\n'),
    empty: (_, response) => response.writeHead(200).end(sse(usage)),
    'no answer': (request) => request.socket.destroy(),
  };
  const expected: Record<string, RegExp> = {
    '429': /^HTTP 429: .*queue full/,
    'in the stream': /^the engine died$/,
    cut: /without \[DONE\]/,
    empty: /no text/,
    'no answer': /hang up|ECONNRESET/,
  };
  for (const [name, listener] of Object.entries(answers)) {
    const url = await serve(t, listener);
    assert.match((await streamRequest(url, 'chat', {}, 0)).error ?? '', expected[name]!, name);
  }
});

test('a server that does not listen has no status', async (t) => {
  const url = await serve(t, (_, response) => response.writeHead(503).end('{}'));
  assert.equal(await getStatus(url), 503);
  await assert.rejects(getJson(url), /HTTP 503/);
  assert.equal(await getStatus(new URL('http://127.0.0.1:1')), null);
});
