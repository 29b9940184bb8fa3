import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { digestOf, OPEN_ROUTES } from '../../src/http/api-keys.ts';
import { CHAT, call, HELLO, testApi } from '../support/api-client.ts';
import { RawConnection, startHttpServer } from '../support/http-server.ts';

const edge = { apiKeyDigests: [digestOf('first-key'), digestOf('second-key')] };
const bearer = (key: string, scheme = 'Bearer') => ({ authorization: `${scheme} ${key}` });

describe('with API keys', () => {
  it('every route of the table answers 401 to a request without one, except the open ones', async () => {
    const { api, generator } = testApi({ edge });
    const open: string[] = [];
    for (const [route, methods] of Object.entries(api.routes)) {
      const path = route.replace('/*', '/x');
      for (const method of [...Object.keys(methods), 'HEAD', 'PATCH']) {
        const { status, headers, json } = await call(api, path, { method, body: '{' });
        if (OPEN_ROUTES.has(route)) {
          assert.notEqual(status, 401, `${method} ${path}`);
          open.push(route);
          continue;
        }
        assert.equal(status, 401, `${method} ${path}`);
        assert.equal(headers['www-authenticate'], 'Bearer');
        assert.match(headers['x-request-id'] ?? '', /^req-/);
        assert.equal(json.error.type, 'authentication_error');
        // Anthropic's error object has no code.
        if (json.type !== 'error') assert.equal(json.error.code, 'invalid_api_key');
        assert.match(json.error.message, /Unauthorized/);
      }
    }
    assert.ok(open.every((route) => !/^\/v\d/.test(route)));
    assert.equal(generator.requests.length, 0);
  });

  it('the rest of the /v1 space is closed too, whatever is there, and other unknown paths stay 404', async () => {
    const { api } = testApi({ edge });
    for (const path of ['/v1', '/v1/', '/v1/nothing', '/v2/models', '/v1/models/', '/v1/chat/completions/', '/v1/../metrics']) {
      assert.equal((await call(api, path, { body: {} })).status, 401, path);
    }
    for (const path of ['/favicon.ico', '/__proto__', '//v1/models']) assert.equal((await call(api, path)).status, 404, path);
  });

  it('each key opens the API, as a bearer token in any case or as x-api-key', async () => {
    const { api } = testApi({ edge });
    for (const headers of [
      bearer('first-key'),
      bearer('second-key', 'bearer'),
      bearer('first-key', 'BEARER'),
      { 'x-api-key': 'second-key' },
      { 'x-api-key': 'first-key', ...bearer('null') },
    ]) {
      assert.equal((await call(api, CHAT, { body: { messages: HELLO }, headers })).status, 200, JSON.stringify(headers));
    }
  });

  it('a wrong key opens nothing and is not told back', async () => {
    const { api, logs } = testApi({ edge });
    const wrong = ['', ' ', 'first-ke', 'first-keyy', 'FIRST-KEY', 'first-key,second-key', 'wr0ng', digestOf('first-key')];
    for (const key of wrong) {
      for (const headers of [bearer(key), bearer(key, 'Basic'), { authorization: key }, { 'x-api-key': key }]) {
        const { status, text } = await call(api, CHAT, { body: { messages: HELLO }, headers });
        assert.equal(status, 401, JSON.stringify(headers));
        assert.doesNotMatch(text, /first-ke|second-key|wr0ng/);
      }
    }
    assert.equal((await call(api, CHAT, { body: {}, headers: { authorization: 'first-key' } })).status, 401, 'a key without its scheme');
    assert.doesNotMatch(JSON.stringify(logs), /first-ke|second-key|wr0ng/);
  });

  it("a browser's preflight needs none", async () => {
    const { api } = testApi({ edge });
    assert.equal((await call(api, CHAT, { method: 'OPTIONS' })).status, 204);
  });

  it('a body without one is thrown away as it comes, and the connection goes on', async (t) => {
    const { url, server, api } = await startHttpServer(t, { edge, maxBodyBytes: 64 << 20 });
    assert.equal(api.maxBodyBytes({ method: 'POST', path: CHAT, headers: {} }), 0);
    assert.equal(api.maxBodyBytes({ method: 'POST', path: CHAT, headers: bearer('first-key') }), 64 << 20);
    const reply = await fetch(url + CHAT, { method: 'POST', body: new Uint8Array(20 << 20) });
    assert.equal(reply.status, 401);
    const client = new RawConnection(server.port);
    client.post(CHAT, { messages: HELLO });
    await client.until((text) => text.includes('invalid_api_key'));
    const body = JSON.stringify({ messages: HELLO });
    client.socket.write(
      `POST ${CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer first-key\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await client.until((text) => text.includes('Hello world'));
  });
});

it('without API keys the server is open to everybody, whatever key they send', async () => {
  const { api } = testApi();
  assert.equal((await call(api, CHAT, { body: { messages: HELLO } })).status, 200);
  assert.equal((await call(api, CHAT, { body: { messages: HELLO }, headers: bearer('null') })).status, 200);
});
