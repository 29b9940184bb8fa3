import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StartupError } from '../../src/core/errors.ts';
import { serveHttp } from '../../src/http/uws-server.ts';
import { CHAT, HELLO, testApi } from '../support/api-client.ts';
import { each, handFed } from '../support/fake-generator.ts';
import { aborted, RawConnection, settled, startHttpServer, until } from '../support/http-server.ts';
import { parseChunks } from '../support/sse-client.ts';

const post = (url: string, body: string | Uint8Array, headers = {}) => fetch(url + CHAT, { method: 'POST', body, headers });

describe('a request on a socket', () => {
  it('is answered with our headers', async (t) => {
    const { url } = await startHttpServer(t);
    const reply = await post(url, JSON.stringify({ messages: HELLO }), { 'X-Request-Id': 'abc' });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers.get('content-type'), 'application/json');
    assert.equal(reply.headers.get('x-request-id'), 'abc');
    assert.equal(((await reply.json()) as { choices: unknown[] }).choices.length, 1);
  });

  it('streams with headers that keep proxies from holding it back', async (t) => {
    const { url } = await startHttpServer(t);
    const reply = await post(url, JSON.stringify({ messages: HELLO, stream: true }));
    assert.equal(reply.headers.get('content-type'), 'text/event-stream; charset=utf-8');
    assert.equal(reply.headers.get('cache-control'), 'no-cache');
    assert.equal(reply.headers.get('x-accel-buffering'), 'no');
    assert.equal(parseChunks(await reply.text()).length, 4);
  });

  it('sends its first bytes while the rest is still being made', async (t) => {
    const feed = handFed();
    const { server } = await startHttpServer(t, { script: feed.script });
    const client = new RawConnection(server.port);
    client.post(CHAT, { messages: HELLO, stream: true });
    feed.queue.push({ text: 'first', tokenIds: [1] });
    await client.until((text) => text.includes('first'));
    feed.queue.push({ finishReason: 'stop' });
    feed.queue.end();
    await client.until((text) => text.includes('[DONE]'));
  });

  it('carries a body in many chunks, and text in any script', async (t) => {
    const { url, generator } = await startHttpServer(t, { maxBodyBytes: 8 << 20 });
    const content = '以下是😀'.repeat(100_000);
    assert.equal((await post(url, JSON.stringify({ messages: [{ role: 'user', content }] }))).status, 200);
    const prompt = generator.requests[0]?.prompt;
    assert.ok(prompt?.type === 'chat' && prompt.messages[0]?.content === content);
  });

  it('with a body that is too long gets its 413, and the connection goes on', async (t) => {
    const { url, server } = await startHttpServer(t, { maxBodyBytes: 1000 });
    const reply = await post(url, new Uint8Array(20 << 20));
    assert.equal(reply.status, 413);
    assert.match(await reply.text(), /payload_too_large/);
    const client = new RawConnection(server.port);
    client.post(CHAT, { messages: HELLO, user: 'x'.repeat(2000) });
    await client.until((text) => text.includes('413'));
    client.post(CHAT, { messages: HELLO });
    await client.until((text) => text.includes('Hello world'));
  });

  it('that announces far more than is taken is refused at once', async (t) => {
    const { server } = await startHttpServer(t, { maxBodyBytes: 1000 });
    const client = new RawConnection(server.port);
    client.socket.write(`POST ${CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{`);
    await client.until((text) => text.includes('413'));
  });

  it('may be HEAD, OPTIONS or unknown, one after the other on one connection', async (t) => {
    const { server } = await startHttpServer(t);
    const client = new RawConnection(server.port);
    const lines = ['HEAD /version', 'OPTIONS /version', 'GET /nowhere', 'DELETE /version', 'GET /version'];
    for (const [i, line] of lines.entries()) {
      client.socket.write(`${line} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await client.until((received) => received.split('HTTP/1.1 ').length === i + 2 && received.includes('\r\n\r\n'));
    }
    const text = await client.until((received) => received.includes('{"version"'));
    assert.deepEqual(
      [...text.matchAll(/HTTP\/1\.1 (\d+ [A-Za-z ]+)/g)].map(([, status]) => status),
      ['200 OK', '204 No Content', '404 Not Found', '405 Method Not Allowed', '200 OK'],
    );
    assert.equal(text.match(/content-length: 19/gi)?.length, 2);
  });
});

describe('a client that leaves', () => {
  it('aborts a stream', async (t) => {
    const feed = handFed();
    const { server, generator, logs } = await startHttpServer(t, { script: feed.script });
    const client = new RawConnection(server.port);
    client.post(CHAT, { messages: HELLO, stream: true });
    feed.queue.push({ text: 'x', tokenIds: [1] });
    await client.until((text) => text.includes('"x"'));
    client.socket.destroy();
    const signal = generator.runs[0]?.signal as AbortSignal;
    await aborted(signal);
    const lines = logs.filter(({ msg }) => msg === 'request');
    assert.deepEqual(
      lines.map(({ finishReason, completionTokens }) => [finishReason, completionTokens]),
      [['abort', 1]],
    );
  });

  it('aborts a reply that is still being made', async (t) => {
    const feed = handFed();
    const { server, generator } = await startHttpServer(t, { script: feed.script });
    const client = new RawConnection(server.port);
    client.post(CHAT, { messages: HELLO });
    await until(() => generator.runs.length > 0);
    client.socket.destroy();
    await aborted(generator.runs[0]?.signal as AbortSignal);
  });
});

describe('a slow reader', () => {
  it('stops its source, costs no memory beyond the socket’s buffers, and still gets every byte', async (t) => {
    const numDeltas = 600;
    const filler = 'x'.repeat(64 * 1024);
    const { server, generator } = await startHttpServer(t, {
      script: function* (request) {
        for (let i = 0; i < numDeltas; i++) yield each(request, () => ({ text: `${i}:${filler}`, tokenIds: [i] }));
        yield each(request, () => ({ finishReason: 'length' }));
      },
    });
    server.drain();
    const client = new RawConnection(server.port);
    client.socket.pause();
    client.post(CHAT, { messages: HELLO, stream: true });
    const run = () => generator.runs[0]?.numRead ?? 0;
    await until(() => run() > 0);
    const numReadWhilePaused = await settled(run);
    assert.ok(numReadWhilePaused > 0 && numReadWhilePaused < numDeltas / 2, `read ${numReadWhilePaused} of ${numDeltas}`);
    client.socket.resume();
    await client.closed;
    assert.match(client.received.slice(-40), /\[DONE\]/);
    const seen = [...client.received.matchAll(/"content":"(\d+):/g)].map(([, i]) => Number(i));
    assert.deepEqual(seen, [...Array(numDeltas).keys()]);
    assert.equal(run(), numDeltas + 1);
  });

  it('gets the whole of a large reply, and the server closes only then', async (t) => {
    const text = '以下是'.repeat(5 << 20);
    const { server, generator } = await startHttpServer(t, { script: () => [[{ text, tokenIds: [1], finishReason: 'stop' }]] });
    const client = new RawConnection(server.port);
    client.socket.pause();
    client.post(CHAT, { messages: HELLO });
    await until(() => generator.runs.length > 0);
    const closing = server.close();
    client.socket.resume();
    await closing;
    await client.closed;
    assert.ok(client.received.includes(`"content":"${text}"`));
  });

  it('that leaves while its source waits for it aborts the work', async (t) => {
    const filler = 'x'.repeat(64 * 1024);
    const { server, generator } = await startHttpServer(t, {
      script: function* (request) {
        for (;;) yield each(request, () => ({ text: filler, tokenIds: [1] }));
      },
    });
    const client = new RawConnection(server.port);
    client.socket.pause();
    client.post(CHAT, { messages: HELLO, stream: true });
    await until(() => generator.runs.length > 0);
    await settled(() => generator.runs[0]?.numRead ?? 0);
    client.socket.destroy();
    await aborted(generator.runs[0]?.signal as AbortSignal);
  });
});

describe('the port', () => {
  it('that is in use is a one-line start-up error', async (t) => {
    const { server } = await startHttpServer(t);
    const again = serveHttp(testApi().api, { host: '127.0.0.1', port: server.port, exclusive: true });
    await assert.rejects(
      again,
      (error) => error instanceof StartupError && /in use.*--port/.test(error.message) && !error.message.includes('\n'),
    );
  });

  it('is free again after closing', async (t) => {
    const { server, url } = await startHttpServer(t);
    await server.close();
    await assert.rejects(fetch(`${url}/health`));
    const next = await serveHttp(testApi().api, { host: '127.0.0.1', port: server.port, exclusive: true });
    t.after(() => next.closeNow());
    assert.equal(next.port, server.port);
    assert.equal((await fetch(`${url}/health`)).status, 200);
  });

  it('of an address that is not ours says which flag to change', async () => {
    const elsewhere = serveHttp(testApi().api, { host: '192.0.2.1', port: 0, exclusive: true });
    await assert.rejects(elsewhere, (error) => error instanceof StartupError && /--host/.test(error.message));
  });
});

describe('a server that drains', () => {
  it('closes each connection after its reply', async (t) => {
    const { server } = await startHttpServer(t);
    server.drain();
    for (const body of [{ messages: HELLO }, { messages: HELLO, stream: true }]) {
      const client = new RawConnection(server.port);
      client.post(CHAT, body);
      await client.closed;
      assert.match(client.received, /connection: close/i);
      assert.match(client.received, /world/);
    }
  });

  it('lets running streams end, takes no new connection, and is closed then', async (t) => {
    const feed = handFed();
    const { server, url, generator } = await startHttpServer(t, { script: feed.script });
    const client = new RawConnection(server.port);
    client.post(CHAT, { messages: HELLO, stream: true });
    await until(() => generator.runs.length > 0);
    let isClosed = false;
    const closing = server.close().then(() => (isClosed = true));
    await assert.rejects(fetch(`${url}/health`));
    assert.equal(isClosed, false);
    feed.queue.push({ text: 'the end', tokenIds: [1], finishReason: 'stop' });
    feed.queue.end();
    await closing;
    await client.closed;
    assert.match(client.received, /the end[\s\S]*\[DONE\]/);
  });

  it('is closed at once when told so', async (t) => {
    const feed = handFed();
    const { server, generator } = await startHttpServer(t, { script: feed.script });
    const client = new RawConnection(server.port);
    client.post(CHAT, { messages: HELLO, stream: true });
    await until(() => generator.runs.length > 0);
    server.closeNow();
    await client.closed;
    await aborted(generator.runs[0]?.signal as AbortSignal);
  });
});
