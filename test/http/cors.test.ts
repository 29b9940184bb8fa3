import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { digestOf } from '../../src/http/api-keys.ts';
import { CHAT, call, HELLO, testApi } from '../support/api-client.ts';
import { startHttpServer } from '../support/http-server.ts';

const PAGE = 'https://chat.example.com';

/** What a browser sends before a fetch with these headers. */
const preflight = (origin: string, method = 'POST', headers = 'authorization,content-type') => ({
  method: 'OPTIONS',
  headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': headers },
});
const corsOf = (headers: Readonly<Record<string, string>>) => Object.keys(headers).filter((name) => /^access-control|^vary$/.test(name));

describe('without allowed origins', () => {
  it('no reply has a CORS header', async () => {
    const { api } = testApi();
    for (const reply of [
      await call(api, CHAT, preflight(PAGE)),
      await call(api, CHAT, { body: { messages: HELLO }, headers: { origin: PAGE } }),
    ])
      assert.deepEqual(corsOf(reply.headers), []);
  });
});

describe('with allowed origins', () => {
  const edge = { allowedOrigins: [PAGE, 'http://localhost:3000'], apiKeyDigests: [digestOf('key')] };

  it('a preflight is answered 204 with the methods of the route and the headers that were asked for, without a key', async (t) => {
    const { url } = await startHttpServer(t, { edge });
    const reply = await fetch(url + CHAT, preflight(PAGE));
    assert.equal(reply.status, 204);
    const header = (name: string) => reply.headers.get(`access-control-${name}`);
    assert.equal(header('allow-origin'), PAGE);
    assert.equal(header('allow-methods'), 'POST, OPTIONS');
    assert.equal(header('allow-headers'), 'authorization,content-type');
    assert.equal(header('max-age'), '600');
    assert.equal(header('allow-credentials'), null);
    assert.equal(reply.headers.get('vary'), 'Origin');
    assert.equal(await reply.text(), '');
  });

  it('replies, streams and errors of every kind can be read by the page', async (t) => {
    const { url } = await startHttpServer(t, { edge, maxBodyBytes: 100 });
    const authorization = 'Bearer key';
    const json = (body: unknown) => ({ method: 'POST', body: JSON.stringify(body) });
    for (const [status, path, init, headers] of [
      [200, CHAT, json({ messages: HELLO }), { authorization }],
      [200, CHAT, json({ messages: HELLO, stream: true }), { authorization }],
      [400, CHAT, json({}), { authorization }],
      [401, CHAT, json({ messages: HELLO }), {}],
      [404, '/nowhere', {}, {}],
      [405, CHAT, {}, { authorization }],
      [413, CHAT, json({ user: 'x'.repeat(200) }), { authorization }],
    ] as const) {
      const reply = await fetch(url + path, { ...init, headers: { ...headers, origin: PAGE } });
      assert.equal(reply.status, status);
      assert.equal(reply.headers.get('access-control-allow-origin'), PAGE, `${status}`);
      assert.equal(reply.headers.get('access-control-expose-headers'), 'x-request-id, retry-after');
      assert.ok(reply.headers.get('x-request-id'), `${status}`);
      assert.ok((await reply.text()).length > 0);
    }
  });

  it('another page is told nothing, and caches keep the two apart', async () => {
    const { api } = testApi({ edge });
    for (const origin of ['https://evil.example.com', 'https://chat.example.com.evil.com', 'http://chat.example.com', 'null']) {
      assert.deepEqual(corsOf((await call(api, CHAT, preflight(origin))).headers), ['vary'], origin);
    }
    assert.deepEqual(corsOf((await call(api, '/health')).headers), ['vary']);
  });
});

it('* lets every page in, and without a header the request is like any other', async () => {
  const { api } = testApi({ edge: { allowedOrigins: ['*'] } });
  const { headers } = await call(api, CHAT, preflight('null'));
  assert.equal(headers['access-control-allow-origin'], '*');
  assert.equal(headers.vary, undefined);
  assert.deepEqual(corsOf((await call(api, '/health')).headers), []);
});
