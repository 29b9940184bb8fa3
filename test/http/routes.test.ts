import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ErrorCode, TroupeError } from '../../src/core/errors.ts';
import type { Readiness } from '../../src/core/generation.ts';
import { CHAT, COMPLETIONS, call, HELLO, testApi } from '../support/api-client.ts';

describe('the route table', () => {
  it('answers an unknown path with 404 and another method with 405 and Allow', async () => {
    const { api } = testApi();
    const unknown = await call(api, '/v2/chat', { body: {} });
    assert.deepEqual([unknown.status, unknown.json.error.code], [404, 'not_found']);
    for (const path of ['/__proto__', '/constructor', '/v1', '/v1/models/', '//']) {
      assert.equal((await call(api, path, { method: 'DELETE' })).status >= 404, true, path);
    }
    const wrong = await call(api, CHAT);
    assert.deepEqual([wrong.status, wrong.headers.allow, wrong.json.error.code], [405, 'POST, OPTIONS', 'method_not_allowed']);
    assert.deepEqual([(await call(api, '/health', { body: {} })).headers.allow], ['GET, HEAD, OPTIONS']);
  });

  it('answers OPTIONS with the methods and HEAD like GET', async () => {
    const { api } = testApi();
    const options = await call(api, CHAT, { method: 'OPTIONS' });
    assert.deepEqual([options.status, options.headers.allow, options.text], [204, 'POST, OPTIONS', '']);
    assert.equal((await call(api, '/health', { method: 'HEAD' })).status, 200);
    assert.equal((await call(api, CHAT, { method: 'HEAD' })).status, 405);
  });

  it('puts x-request-id on every reply, errors included', async () => {
    const { api } = testApi();
    for (const path of ['/', '/health', '/nowhere', '/metrics']) {
      assert.match((await call(api, path)).headers['x-request-id'] ?? '', /^req-[0-9a-f-]{36}$/, path);
    }
    const injected = await call(api, '/', { headers: { 'x-request-id': 'a b' } });
    assert.match(injected.headers['x-request-id'] ?? '', /^req-/);
  });

  it('tells people and programs what the server is', async () => {
    const { api } = testApi();
    const { text } = await call(api, '/', { headers: { host: 'box:99' } });
    assert.match(text, /POST \/v1\/chat\/completions/);
    const curl = /^curl http:\/\/box:99(\S+) -H 'Content-Type: application\/json' -d '(.*)'$/m.exec(text);
    assert.equal((await call(api, curl?.[1] ?? '', { body: curl?.[2] ?? '' })).status, 200);
    assert.equal((await call(api, '/', { headers: { accept: 'application/json' } })).json.version, '1.2.3');
    assert.deepEqual((await call(api, '/version')).json, { version: '1.2.3' });
    const routes: { path: string; methods: string[] }[] = (await call(api, '/load')).json.routes;
    assert.ok(routes.every(({ path }) => path.startsWith('/v1/')));
    for (const path of [CHAT, COMPLETIONS, '/v1/embeddings', '/v1/abort_requests']) {
      assert.deepEqual(routes.find((route) => route.path === path)?.methods, ['POST']);
    }
    assert.deepEqual(routes.find((route) => route.path === '/v1/models/*')?.methods, ['GET']);
  });
});

describe('the model', () => {
  it('is listed under each name, never under a path', async () => {
    const { api } = testApi({ model: { names: ['mini', 'other/name'], maxModelLen: 512 } });
    const { json } = await call(api, '/v1/models');
    assert.deepEqual(
      json.data.map(({ id, object, root, max_model_len }: Record<string, unknown>) => [id, object, root, max_model_len]),
      [
        ['mini', 'model', 'mini', 512],
        ['other/name', 'model', 'mini', 512],
      ],
    );
    assert.equal((await call(api, '/v1/models/other/name')).json.id, 'other/name');
    assert.equal((await call(api, '/v1/models/other%2Fname')).json.id, 'other/name');
    assert.deepEqual([(await call(api, '/v1/models/no')).status], [404]);
  });

  it('may be asked for by any name when none was given at start, and the reply names the model', async () => {
    const { api } = testApi();
    for (const model of ['null', 'default', '', 'gpt-4', null]) {
      const { status, json } = await call(api, CHAT, { body: { messages: HELLO, model } });
      assert.deepEqual([status, json.model], [200, 'troupe-mini']);
    }
  });

  it('must be asked for by one of its names when they were given', async () => {
    const { api } = testApi({ model: { names: ['a', 'b'], isNameChecked: true } });
    for (const model of ['a', 'b', 'default', null]) {
      const { status, json } = await call(api, CHAT, { body: { messages: HELLO, model } });
      assert.deepEqual([status, json.model], [200, 'a']);
    }
    for (const [path, body] of [
      [CHAT, { messages: HELLO }],
      [COMPLETIONS, { prompt: 'x' }],
    ] as const) {
      const { status, json } = await call(api, path, { body: { ...body, model: 'c' } });
      assert.deepEqual([status, json.error.code, json.error.param], [404, 'model_not_found', 'model']);
    }
  });
});

describe('readiness', () => {
  const STATES: readonly [Readiness, ready: number, health: number, chat: number, code: string | null][] = [
    [{ state: 'ready' }, 200, 200, 200, null],
    [{ state: 'loading' }, 503, 503, 503, 'model_loading'],
    [{ state: 'recovering', reason: 'engine-0 died' }, 503, 200, 200, null],
    [{ state: 'draining', reason: 'shutting down' }, 503, 200, 503, 'server_draining'],
    [{ state: 'failed', reason: 'too many restarts' }, 503, 503, 503, 'no_engine'],
  ];
  for (const [state, ready, health, chat, code] of STATES) {
    it(`${state.state}: /ready ${ready}, /health ${health}, a generation ${chat}`, async () => {
      const { api, generator } = testApi();
      generator.state = state;
      const readyReply = await call(api, '/ready');
      assert.equal(readyReply.status, ready);
      assert.equal(readyReply.json.status, state.state);
      if ('reason' in state) assert.equal(readyReply.json.reason, state.reason);
      assert.equal((await call(api, '/health')).status, health);
      assert.equal((await call(api, '/live')).status, 200);
      const reply = await call(api, CHAT, { body: { messages: HELLO } });
      assert.equal(reply.status, chat);
      if (code !== null) assert.equal(reply.json.error.code, code);
      if (chat === 503) assert.match(reply.headers['retry-after'] ?? '', /^\d+$/);
      assert.equal(reply.headers.connection, state.state === 'draining' ? 'close' : undefined);
    });
  }
});

describe('a refusal of the generator', () => {
  const REFUSALS: readonly [ErrorCode, number, string][] = [
    ['invalid_request', 400, 'invalid_request_error'],
    ['context_length_exceeded', 400, 'invalid_request_error'],
    ['queue_full', 429, 'rate_limit_error'],
    ['engine_failed', 500, 'server_error'],
    ['poisoned_request', 500, 'server_error'],
    ['internal_error', 500, 'internal_error'],
    ['no_engine', 503, 'server_error'],
  ];
  for (const [code, status, type] of REFUSALS) {
    it(`${code} is a ${status} before any stream begins`, async () => {
      const { api, logs } = testApi({ refuse: () => new TroupeError(code, 'No.', { param: 'messages' }) });
      const { json, ...reply } = await call(api, CHAT, { body: { messages: HELLO, stream: true } });
      assert.deepEqual([reply.status, json.error.type, json.error.message, json.error.param], [status, type, 'No.', 'messages']);
      assert.equal(reply.headers['retry-after'] !== undefined, [429, 503].includes(status));
      assert.equal(logs.filter(({ msg }) => msg === 'request refused').length, 1);
    });
  }

  it('tells when a retry is likely to be accepted, in whole seconds and at least one', async () => {
    const { api } = testApi({ refuse: () => new TroupeError('queue_full', 'Full.', { retryAfterMs: 20 }) });
    assert.equal((await call(api, CHAT, { body: { messages: HELLO } })).headers['retry-after'], '1');
  });
});

describe('the log', () => {
  it('has one line per request with counts, times and reason, and never a prompt or a text', async () => {
    const { api, logs } = testApi({ cachedTokens: 1 });
    for (const stream of [false, true]) await call(api, CHAT, { body: { messages: [{ role: 'user', content: 'SECRET' }], stream, n: 2 } });
    const lines = logs.filter(({ msg }) => msg === 'request');
    assert.deepEqual(
      lines.map((line) => [
        line.route,
        line.stream,
        line.numChoices,
        line.promptTokens,
        line.cachedTokens,
        line.completionTokens,
        line.finishReason,
      ]),
      [
        [CHAT, false, 2, 3, 1, 6, 'stop'],
        [CHAT, true, 2, 3, 1, 6, 'stop'],
      ],
    );
    assert.ok(lines.every((line) => Number(line.ttftMs) >= 0 && Number(line.e2eMs) >= Number(line.ttftMs)));
    assert.doesNotMatch(JSON.stringify(logs), /SECRET|Hello/);
    assert.equal(logs.length, 2);
  });

  it('has one line for a bad request too', async () => {
    const { api, logs } = testApi();
    await call(api, CHAT, { body: { messages: HELLO, top_p: 7 } });
    assert.deepEqual(
      logs.map(({ msg, errorCode, param, status }) => [msg, errorCode, param, status]),
      [['request refused', 'invalid_request', 'top_p', 400]],
    );
  });
});
