/** What happens to the server when its processes die or are told to stop. Deadlines are those the project promises. */
import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../support/checkpoint-folder.ts';
import { isAlive } from '../support/child-processes.ts';
import { largeModel } from '../support/large-model.ts';
import { type Server, startServer } from '../support/server.ts';
import { streamChat } from '../support/stream-chat.ts';

const hello = { messages: [{ role: 'user', content: 'Hello!' }], temperature: 0 };
const long = { messages: [{ role: 'user', content: 'Tell me a story about a fox.' }], temperature: 0, max_tokens: 1500, ignore_eos: true };

async function until(server: Server, what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await holds())) await server.tick(what);
}

/** Starts a long stream and returns once its first chunks have arrived. */
async function runningStream(server: Server, body: Record<string, unknown> = long): Promise<{ result: ReturnType<typeof streamChat> }> {
  let result!: ReturnType<typeof streamChat>;
  await new Promise<void>((resolve, reject) => {
    let chunks = 0;
    result = streamChat(server.url, body, () => {
      if (++chunks === 5) resolve();
    });
    result.catch(reject);
  });
  return { result };
}

test('kill -9 on the idle engine: a new request is served within the model load and a second, and the server never exits', async (t: TestContext) => {
  const server = await startServer(t).ready();
  const numLines = server.logs.length;
  const before = performance.now();
  const engine = server.killProcess('engine');
  let untilFirstChunk = 0;
  const { text } = await streamChat(server.url, hello, () => {
    untilFirstChunk ||= performance.now() - before;
  });
  assert.ok(text.startsWith('Hello!'));
  assert.notEqual(server.pidOf('engine'), engine);
  assert.equal(await server.status('/ready'), 200);

  const [loading, serving] = [await server.logged('loading weights', numLines), await server.logged('engine serves again', numLines)];
  const load = Date.parse(String(serving.time)) - Date.parse(String(loading.time));
  console.log(`served ${Math.round(untilFirstChunk)} ms after kill -9, of which the model load took ${load} ms`);
  assert.ok(load > 0 && untilFirstChunk < load + 1000, `${untilFirstChunk} ms, while the load took ${load} ms`);
});

test('kill -9 on the frontend: a new one listens within a second, and the engine gives back what the lost requests held', async (t) => {
  const server = await startServer(t).ready();
  const lost = await runningStream(server);
  const outcome = lost.result.then(
    () => 'finished',
    () => 'cut',
  );
  const before = performance.now();
  server.killProcess('frontend');
  assert.equal(await outcome, 'cut');
  while ((await server.status('/live')) !== 200) await server.tick('waiting for the new frontend');
  const milliseconds = performance.now() - before;
  console.log(`a new frontend listened after ${Math.round(milliseconds)} ms`);
  assert.ok(milliseconds < 1000, `the new frontend listened after ${milliseconds} ms`);
  await until(server, 'waiting for the new frontend to see the engine', async () => (await server.status('/ready')) === 200);
  await until(
    server,
    'waiting for the lost request to be cancelled',
    async () => (await server.metric('troupe:num_requests_running')) === 0,
  );
  assert.ok((await streamChat(server.url, hello)).text.startsWith('Hello!'));
});

test('SIGTERM: /ready turns 503, a running stream finishes, exit code 0, no process is left', async (t) => {
  const server = await startServer(t).ready();
  const children = server.children();
  const stream = await runningStream(server);
  process.kill(server.process.pid!, 'SIGTERM');
  await until(server, 'waiting for /ready to turn 503', async () => (await server.status('/ready')) === 503);
  const refused = await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(hello) });
  assert.equal(refused.status, 503);
  assert.equal(((await refused.json()) as { error: { code: string } }).error.code, 'server_draining');
  const { finishReason, tokenIds } = await stream.result;
  assert.equal(finishReason, 'length');
  assert.equal(tokenIds.length, 1500);
  assert.equal(await server.exited, 0);
  for (const { pid } of children) assert.ok(!isAlive(pid));
});

test('Ctrl-C, which reaches the whole process group, lets streams finish too', async (t) => {
  const server = await startServer(t).ready();
  const stream = await runningStream(server);
  process.kill(-server.process.pid!, 'SIGINT');
  assert.equal((await stream.result).finishReason, 'length');
  assert.equal(await server.exited, 0);
});

test('--timeout-graceful-shutdown ends streams that take longer, with an error the client sees', async (t) => {
  const server = await startServer(t, ['--timeout-graceful-shutdown', '0.2', '--threads', '1']).ready();
  const streams = await Promise.all(Array.from({ length: 8 }, () => runningStream(server)));
  process.kill(server.process.pid!, 'SIGTERM');
  const outcomes = await Promise.allSettled(streams.map(({ result }) => result));
  assert.ok(
    outcomes.some((outcome) => outcome.status === 'rejected' || outcome.value.error !== null || outcome.value.tokenIds.length < 1500),
  );
  assert.equal(await server.exited, 0);
});

test('a second SIGTERM stops at once', async (t) => {
  const server = await startServer(t).ready();
  const children = server.children();
  const stream = await runningStream(server);
  const outcome = stream.result.then(
    ({ tokenIds }) => tokenIds.length,
    () => 0,
  );
  process.kill(server.process.pid!, 'SIGTERM');
  await until(server, 'waiting for the drain to begin', async () => (await server.status('/ready')) === 503);
  process.kill(server.process.pid!, 'SIGTERM');
  await server.exited;
  assert.ok((await outcome) < 1500, 'the stream was cut');
  for (const { pid } of children) assert.ok(!isAlive(pid));
});

test('kill -9 on the supervisor leaves no orphan', async (t) => {
  const server = await startServer(t).ready();
  const children = server.children();
  assert.equal(children.length, 2);
  process.kill(server.process.pid!, 'SIGKILL');
  await server.exited;
  while (children.some(({ pid }) => isAlive(pid))) await new Promise((resolve) => setTimeout(resolve, 20));
});

test('restart budget spent: /ready says 503 with the reason, then the server exits with a code other than 0', async (t) => {
  const server = await startServer(t, ['--max-engine-restarts', '1']).ready();
  const first = server.killProcess('engine');
  await until(
    server,
    'waiting for the second engine',
    async () => ![null, first].includes(server.pidOf('engine')) && (await server.status('/ready')) === 200,
  );
  server.killProcess('engine');
  let body = '';
  await until(server, 'waiting for the failure', async () => {
    const reply = await fetch(`${server.url}/ready`);
    body = await reply.text();
    return reply.status === 503 && /restart/.test(body);
  });
  assert.match(body, /engine/);
  const code = await server.exited;
  assert.ok(code !== null && code !== 0, `exit code ${code}`);
});

test('a client that leaves frees its sequence', async (t) => {
  const server = await startServer(t).ready();
  const controller = new AbortController();
  const reply = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ ...long, stream: true }),
    signal: controller.signal,
  });
  await reply.body!.getReader().read();
  await until(server, 'waiting for the request to run', async () => (await server.metric('troupe:num_requests_running')) === 1);
  controller.abort();
  await until(server, 'waiting for the abort', async () => (await server.metric('troupe:num_requests_running')) === 0);
});

test('Ctrl-C while the model loads ends the server without waiting for the model, and leaves no process', async (t) => {
  const args = ['--model', largeModel(t), '--quantization', 'wint8', '--cache-dir', temporaryFolder(t)];
  const server = await startServer(t, args).listening();
  await server.logged('quantising to wint8');
  const children = server.children();
  assert.equal(children.length, 2);
  process.kill(-server.process.pid!, 'SIGINT');
  assert.equal(await server.exited, 0);
  assert.ok(!server.logs.some(({ msg, percent }) => msg === 'serving' || (msg === 'quantising to wint8' && percent === 100)));
  for (const { pid } of children) assert.ok(!isAlive(pid));
});

for (const numChildren of [1, 2]) {
  test(`Ctrl-C as soon as ${numChildren} of the processes exist ends the server, and starts none of them again`, async (t) => {
    const server = startServer(t);
    const children = await (async () => {
      for (;;) {
        const found = server.children().filter(({ title }) => /child\.[jt]s|troupe (engine|frontend)/.test(title));
        if (found.length >= numChildren) return found;
        await server.tick('waiting for the processes');
      }
    })();
    process.kill(-server.process.pid!, 'SIGINT');
    assert.equal(await server.exited, 0);
    assert.deepEqual(server.warnings(), []);
    for (const { pid } of children) assert.ok(!isAlive(pid));
  });
}
