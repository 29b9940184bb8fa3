/** An operator's day on the real server, with two frontend processes: aborts, pauses, a pause that outlives its engine. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Server, startServer } from '../support/server.ts';
import { streamChat } from '../support/stream-chat.ts';

const long = { messages: [{ role: 'user', content: 'Tell me a story about a fox.' }], temperature: 0, max_tokens: 1200, ignore_eos: true };

interface Stream {
  readonly result: ReturnType<typeof streamChat>;
  numChunks: number;
}

/** Starts a long stream and returns once its first chunks have arrived. */
async function runningStream(server: Server, fields: Record<string, unknown> = {}): Promise<Stream> {
  let started!: () => void;
  const hasStarted = new Promise<void>((resolve) => (started = resolve));
  let numChunks = 0;
  const result = streamChat(server.url, { ...long, ...fields }, () => {
    if (++numChunks === 5) started();
  });
  result.catch(() => {});
  await Promise.race([hasStarted, result]);
  return {
    result,
    get numChunks() {
      return numChunks;
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: several envelopes
async function control(server: Server, path: string, body?: object): Promise<any> {
  const reply = await fetch(server.url + path, {
    method: path === '/v1/is_paused' ? 'GET' : 'POST',
    headers: { connection: 'close' }, // another connection reaches another frontend
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  assert.equal(reply.status, 200, text);
  return JSON.parse(text).result;
}

/** Two frontends, both of which know that the engine serves. */
async function twoFrontends(t: TestContext): Promise<Server> {
  const server = await startServer(t, ['--workers', '2']).ready();
  const statuses = () =>
    Promise.all(Array.from({ length: 16 }, async () => (await fetch(`${server.url}/ready`, { headers: { connection: 'close' } })).status));
  while ((await statuses()).some((status) => status !== 200)) await server.tick('waiting for both frontends');
  return server;
}

/** Each call is a connection of its own: the kernel spreads them over the frontends. */
async function pausedAnswers(server: Server): Promise<unknown[]> {
  return await Promise.all(Array.from({ length: 16 }, async () => (await control(server, '/v1/is_paused')).is_paused));
}

test('an abort reaches requests in every frontend; streams and whole replies end with what they have', async (t: TestContext) => {
  const server = await twoFrontends(t);
  const streams = await Promise.all(Array.from({ length: 8 }, (_, i) => runningStream(server, { request_id: `job-${i}` })));
  const whole = fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ ...long, request_id: 'whole', stream: false }),
  });
  const batch = fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    body: JSON.stringify({ prompt: ['a', 'b'], max_tokens: 1200, ignore_eos: true, request_id: 'batch' }),
  });
  while ((await server.metric('troupe:num_requests_running')) < 11) await server.tick('waiting for all eleven sequences');

  const some = await control(server, '/v1/abort_requests', { req_ids: ['job-0', 'chatcmpl-job-1', 'batch', 'nobody'] });
  assert.deepEqual(new Set(some.aborted), new Set(['chatcmpl-job-0', 'chatcmpl-job-1', 'cmpl-batch']));
  assert.deepEqual(some.not_found, ['nobody']);
  const batched = (await (await batch).json()) as { choices: { finish_reason: string }[] };
  assert.deepEqual(
    batched.choices.map((choice) => choice.finish_reason),
    ['abort', 'abort'],
  );

  const all = await control(server, '/v1/abort_requests', { abort_all: true });
  assert.deepEqual(new Set(all.aborted), new Set(['chatcmpl-whole', ...[2, 3, 4, 5, 6, 7].map((i) => `chatcmpl-job-${i}`)]));
  for (const { result } of streams) {
    const { finishReason, text, error } = await result;
    assert.deepEqual([finishReason, error], ['abort', null]);
    assert.ok(text.length > 0);
  }
  const reply = await whole;
  assert.equal(reply.status, 200);
  const { choices, usage } = (await reply.json()) as {
    choices: { finish_reason: string; message: { content: string } }[];
    usage: { completion_tokens: number };
  };
  assert.equal(choices[0]!.finish_reason, 'abort');
  assert.ok(usage.completion_tokens > 0 && usage.completion_tokens < 1200);
  while ((await server.metric('troupe:num_requests_running')) > 0) await server.tick('waiting for the engine to be empty');
});

test('a kept stream stands still in every frontend, outlives its engine, and goes on with the same text', async (t: TestContext) => {
  const server = await twoFrontends(t);
  const story = { max_tokens: 500 };
  const expected = await streamChat(server.url, { ...long, ...story });
  const stream = await runningStream(server, story);
  assert.deepEqual(await control(server, '/v1/pause?mode=keep'), { is_paused: true, mode: 'keep' });
  assert.ok((await pausedAnswers(server)).every((isPaused) => isPaused === true));
  assert.equal(await server.status('/ready'), 503);
  assert.equal(await server.status('/health'), 200);
  assert.equal(await server.metric('troupe:paused'), 1);

  const dead = server.killProcess('engine');
  while ([null, dead].includes(server.pidOf('engine'))) await server.tick('waiting for the next engine');
  const info = async () => (await (await fetch(`${server.url}/config-info`)).json()) as { state: string; engines: { state: string }[] };
  while ((await info()).engines[0]?.state !== 'serving') await server.tick('waiting for it to serve');
  assert.equal((await info()).state, 'paused');
  const numChunks = stream.numChunks;

  assert.deepEqual(await control(server, '/v1/resume'), { is_paused: false });
  const { text, finishReason } = await stream.result;
  assert.deepEqual([text, finishReason], [expected.text, 'length']);
  assert.ok(stream.numChunks > numChunks, 'the rest came after the resume');
  assert.ok((await pausedAnswers(server)).every((isPaused) => isPaused === false));
  assert.equal(await server.status('/ready'), 200);
});

test('a frontend that is started again learns of the pause, and a request that came meanwhile runs after the resume', async (t: TestContext) => {
  const server = await startServer(t).ready();
  const stream = await runningStream(server);
  await control(server, '/v1/pause', { mode: 'abort' });
  assert.equal((await stream.result).finishReason, 'abort');
  server.killProcess('frontend');
  const isPaused = async (): Promise<boolean> => await control(server, '/v1/is_paused').then((result) => result.is_paused);
  while (!(await isPaused().catch(() => false))) await server.tick('waiting for the next frontend to know');
  const waiting = streamChat(server.url, { ...long, max_tokens: 5 });
  await control(server, '/v1/resume');
  assert.equal((await waiting).finishReason, 'length');
});

test('whichever frontend is scraped, the metrics are those of all', async (t: TestContext) => {
  const server = await twoFrontends(t);
  const body = JSON.stringify({ ...long, max_tokens: 1 });
  const ask = () => fetch(`${server.url}/v1/chat/completions`, { method: 'POST', body, headers: { connection: 'close' } });
  for (const reply of await Promise.all(Array.from({ length: 12 }, ask))) assert.equal(reply.status, 200, await reply.text());
  const scrapes = Array.from({ length: 8 }, async () =>
    (await fetch(`${server.url}/metrics`, { headers: { connection: 'close' } })).text(),
  );
  for (const text of await Promise.all(scrapes)) {
    const values = text.split('\n').flatMap((line) => /^http_requests_total\{.*chat\/completions.*\} (\d+)$/.exec(line)?.[1] ?? []);
    assert.equal(
      values.reduce((sum, value) => sum + Number(value), 0),
      12,
      text,
    );
    assert.equal(text.match(/^troupe:num_requests_running\{/gm)?.length, 1);
  }
});
