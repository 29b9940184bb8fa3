/** The real server with keys: who gets in, and where a key must never be seen. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import OpenAI, { AuthenticationError } from 'openai';
import { startServer } from '../support/server.ts';

const KEY = 'sk-never-tell-this-1';

test('clients with a key are served, others get 401, and health and metrics stay open', async (t) => {
  const server = await startServer(t, ['--api-key', `${KEY},k2`, '--api-key', 'k3'], { TROUPE_API_KEY: 'env-key' }).ready();
  const client = (apiKey: string) => new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 });
  for (const key of [KEY, 'k2', 'k3']) assert.equal((await client(key).models.list()).data.length, 1);
  for (const key of ['env-key', 'k', 'null']) await assert.rejects(client(key).models.list(), AuthenticationError);
  for (const path of ['/health', '/live', '/ready', '/ping', '/metrics', '/version', '/'])
    assert.equal(await server.status(path), 200, path);
  assert.equal(await server.status('/v1/models'), 401);
});

test('a key is in no child’s environment or title, in no title of the server, and in no log line', async (t) => {
  const server = await startServer(t, ['--api-key', KEY, '--log-level', 'debug'], { TROUPE_API_KEY: KEY, FD_API_KEY: KEY }).ready();
  const reply = await fetch(`${server.url}/v1/models`, { headers: { 'x-api-key': `${KEY}x` } });
  assert.equal(reply.status, 401);
  const children = server.children();
  assert.equal(children.length, 2);
  for (const { pid, title } of children) {
    assert.ok(!title.includes(KEY));
    assert.ok(!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(KEY));
  }
  assert.ok(!readFileSync(`/proc/${server.process.pid}/cmdline`, 'latin1').includes(KEY));
  assert.ok(!JSON.stringify([server.logs, server.stderr, await reply.text()]).includes(KEY));
});

test('keys from FD_API_KEY close the server as the flag does', async (t) => {
  const server = await startServer(t, [], { FD_API_KEY: 'a,b' }).ready();
  const status = async (key: string) => (await fetch(`${server.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status;
  assert.deepEqual([await status('a'), await status('b'), await status('a,b'), await server.status('/v1/models')], [200, 200, 401, 401]);
});
