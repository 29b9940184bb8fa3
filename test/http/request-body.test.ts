import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readJsonObject } from '../../src/http/request-body.ts';
import { CHAT, call, HELLO, testApi } from '../support/api-client.ts';

/** A list in a list in …, `depth` levels. */
const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const bodyOf = (metadata: string): string => `{"messages":${JSON.stringify(HELLO)},"metadata":{"x":${metadata}}}`;

test('a body of 256 levels is read, one more level is a bad request, however many follow', async () => {
  const { api } = testApi();
  // The body and `metadata` are two of the levels.
  assert.equal((await call(api, CHAT, { body: bodyOf(nested(254)) })).status, 200);
  for (const depth of [255, 3300, 200_000]) {
    const { status, json } = await call(api, CHAT, { body: bodyOf(nested(depth)) });
    assert.deepEqual([status, json.error.message], [400, 'The request body is nested deeper than 256 levels.']);
  }
});

test('the tolerant parser has the same limit', () => {
  const body = Buffer.from(`{"x": ${nested(3300)},}`);
  assert.throws(() => readJsonObject(body, 1 << 20), /nested deeper than 256 levels/);
});
