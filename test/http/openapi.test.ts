import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { digestOf, OPEN_ROUTES } from '../../src/http/api-keys.ts';
import { chatSchema, completionSchema } from '../../src/http/openai-schema.ts';
import { FIELD_DOCS } from '../../src/http/openapi/field-docs.ts';
import { OPERATIONS, SUBPATHS } from '../../src/http/openapi/operations.ts';
import { call, testApi } from '../support/api-client.ts';

type Json = Record<string, unknown>;

async function document() {
  const { api } = testApi();
  const { json, status } = await call(api, '/openapi.json');
  assert.equal(status, 200);
  return { api, json };
}

/** The body's schema with the document's components, compiled by ajv: it refuses what is no JSON Schema. */
// biome-ignore lint/suspicious/noExplicitAny: a JSON document
function validator(json: any, path: string) {
  const { schema } = json.paths[path].post.requestBody.content['application/json'];
  return new Ajv2020({ strict: false }).compile({ ...schema, components: json.components });
}

describe('/openapi.json', () => {
  it('lists every route and method of the table, and nothing else', async () => {
    const { api, json } = await document();
    assert.equal(json.openapi, '3.1.0');
    const listed = Object.entries(json.paths as Json).flatMap(([path, methods]) =>
      Object.keys(methods as Json).map((method) => `${method.toUpperCase()} ${path.replace(/\{\w+\}/, '*')}`),
    );
    const routed = Object.entries(api.routes).flatMap(([path, methods]) =>
      Object.keys(methods).flatMap((method) => (SUBPATHS[`${method} ${path}`] ?? ['']).map((end) => `${method} ${path}${end}`)),
    );
    assert.deepEqual(listed.sort(), routed.sort());
    const ids = Object.values(json.paths as Json).flatMap((methods) =>
      Object.values(methods as Json).map((it) => (it as Json).operationId),
    );
    assert.equal(new Set(ids).size, ids.length);
  });

  it('has every field that chat and text completions accept, each with a sentence', async () => {
    const { json } = await document();
    for (const [path, schema] of [
      ['/v1/chat/completions', chatSchema],
      ['/v1/completions', completionSchema],
    ] as const) {
      const { properties } = json.paths[path].post.requestBody.content['application/json'].schema;
      assert.deepEqual(Object.keys(properties).sort(), Object.keys(schema.shape).sort());
      for (const [name, field] of Object.entries(properties as Record<string, Json>)) {
        assert.ok(field.description, `${path}: ${name} needs a sentence in field-docs.ts`);
      }
    }
  });

  it('has a type for every field of every body', async () => {
    const { json } = await document();
    for (const [path, methods] of Object.entries(json.paths as Record<string, Json>)) {
      // biome-ignore lint/suspicious/noExplicitAny: a JSON document
      const { properties = {} } = (methods.post as any)?.requestBody?.content['application/json'].schema ?? {};
      for (const [name, field] of Object.entries(properties as Record<string, Json>)) {
        const says = ['type', 'anyOf', 'oneOf', 'enum', 'const', '$ref'].some((keyword) => keyword in field);
        assert.ok(says, `${path}: ${name} says nothing: ${JSON.stringify(field)}`);
      }
    }
  });

  it('tells ranges and defaults as the server applies them', async () => {
    const { json } = await document();
    const isChat = validator(json, '/v1/chat/completions');
    const messages = [{ role: 'user', content: 'x' }];
    for (const [body, isGood] of [
      [{ messages }, true],
      [{ messages: [1, 2, 3] }, true],
      [{ messages, stop: 'x' }, true],
      [{ messages, stop: ['x', 'y'] }, true],
      [{ messages, unknown: 1 }, true],
      [{ messages, top_p: 1.5 }, false],
      [{ messages, top_p: '1' }, false],
      [{ messages, n: 0 }, false],
      [{ messages, n: 1.5 }, false],
      [{ messages, repetition_penalty: 0 }, false],
      [{ messages, stop_token_ids: [-1] }, false],
      [{ messages, stop: Array(17).fill('x') }, false],
      [{ messages: [{ content: 'x' }] }, false],
    ] as const) {
      assert.equal(isChat(body), isGood, JSON.stringify(body));
      assert.equal((await call(testApi().api, '/v1/chat/completions', { body })).status === 200, isGood, JSON.stringify(body));
    }
    const { properties } = json.paths['/v1/chat/completions'].post.requestBody.content['application/json'].schema;
    assert.deepEqual([properties.n.default, properties.stream.default, properties.stop.default], [1, false, []]);
  });

  it("has an example for each body that its schema and the server take, and docs/api.md's requests are valid", async () => {
    const { api, json } = await document();
    for (const [key, { body }] of Object.entries(OPERATIONS)) {
      const [method, path = ''] = key.split(' ');
      if (!body || !(path in json.paths)) continue;
      const isValid = validator(json, path);
      assert.ok(isValid(body.example), `${path}: ${JSON.stringify(isValid.errors)}`);
      const { status, json: reply } = await call(api, path, { method: method as string, body: body.example });
      // A model that generates has neither.
      if (path !== '/v1/embeddings' && path !== '/v1/reward') assert.notEqual(status, 400, `${path}: ${JSON.stringify(reply)}`);
    }
    let numExamples = 0;
    for (const file of ['README.md', 'docs/api.md']) {
      const commands = readFileSync(file, 'utf8')
        .replaceAll('\\\n', ' ')
        .split('\n')
        .filter((line) => line.includes('curl '));
      for (const command of commands) {
        const [path] = /\/v1\/[a-z/_]+/.exec(command) ?? [];
        const [, body] = / -d '(\{[^']*\})'/.exec(command) ?? [];
        if (!path || !body) continue;
        const isValid = validator(json, path);
        assert.ok(isValid(JSON.parse(body)), `${file} ${path}: ${JSON.stringify(isValid.errors)}`);
        numExamples++;
      }
    }
    assert.ok(numExamples > 0);
  });

  it('says which routes need a key', async () => {
    const { json } = await document();
    assert.deepEqual(json.security, [{ bearer: [] }, { apiKey: [] }, {}]);
    for (const route of OPEN_ROUTES) assert.deepEqual(json.paths[route].get.security, [], route);
    const closed = await call(testApi({ edge: { apiKeyDigests: [digestOf('k')] } }).api, '/openapi.json');
    assert.deepEqual(closed.json.security, [{ bearer: [] }, { apiKey: [] }]);
    assert.equal(json.paths['/v1/chat/completions'].post.security, undefined);
  });

  it('has words of its own for every operation', async () => {
    const { json } = await document();
    for (const [path, methods] of Object.entries(json.paths as Record<string, Record<string, Json>>)) {
      for (const [method, { summary }] of Object.entries(methods)) assert.doesNotMatch(String(summary), /^[A-Z]+ \//, `${method} ${path}`);
    }
  });

  it('describes no field or route that is not there', async () => {
    const { api, json } = await document();
    const text = JSON.stringify(json.paths);
    for (const name of Object.keys(FIELD_DOCS)) assert.ok(text.includes(`"${name}":`), `field-docs.ts: ${name}`);
    for (const key of Object.keys(OPERATIONS)) {
      const [method = '', path = ''] = key.split(' ');
      const route = path.replace(/\*.*/, '*');
      assert.ok(api.routes[route]?.[method as 'GET'], `operations.ts: ${key}`);
      const { status } = await call(api, path.replace('*', 'resp_0'), { method, body: OPERATIONS[key]!.body?.example });
      assert.notEqual(status, 405, key);
    }
  });
});

it('/docs is a page without anything from elsewhere', async () => {
  const { text, headers } = await call(testApi().api, '/docs');
  assert.equal(headers['content-type'], 'text/html; charset=utf-8');
  assert.doesNotMatch(text, /<script|https?:\/\/|src=/);
  for (const expected of ['POST /v1/chat/completions', '<code>temperature</code>', 'number &gt; 0'])
    assert.ok(text.includes(expected), expected);
});
