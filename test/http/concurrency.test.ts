import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GenerateRequest } from '../../src/core/generation.ts';
import { OpenGenerations } from '../../src/core/open-generations.ts';
import type { ConcurrencyLimit } from '../../src/http/concurrency-gate.ts';
import { ConcurrencyGate } from '../../src/http/concurrency-gate.ts';
import { CHAT, COMPLETIONS, call, callOpen, HELLO, testApi } from '../support/api-client.ts';
import { sayHello } from '../support/fake-generator.ts';
import { aborted, RawConnection, settled, startHttpServer, until } from '../support/http-server.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const limit = (maxConcurrency: number, maxWaitingMs = 0): ConcurrencyLimit => ({
  maxConcurrency,
  maxWaitingMs,
});
const body = { messages: HELLO };

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

describe('with a limit of five', () => {
  it('ten requests at the same time are five 200 and five 429 with Retry-After, and then there is room again', async () => {
    const { promise: mayEnd, resolve: end } = withResolvers();
    const script = async function* () {
      await mayEnd;
      yield [{ text: 'x', tokenIds: [1], finishReason: 'stop' as const }];
    };
    const { api, generator } = testApi({ edge: { concurrency: limit(5) }, script });
    const calls = Array.from({ length: 10 }, () => call(api, CHAT, { body }));
    await until(() => generator.runs.length === 5);
    assert.equal(await settled(() => generator.runs.length), 5);
    end();
    const replies = await Promise.all(calls);
    assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 200, 200, 200, 200, 429, 429, 429, 429, 429]);
    for (const { json, headers } of replies.filter(({ status }) => status === 429)) {
      assert.equal(json.error.message, 'Too many requests,current max concurrency is 5');
      assert.deepEqual([json.error.type, json.error.code], ['rate_limit_error', 'queue_full']);
      assert.ok(Number(headers['retry-after']) >= 1);
    }
    assert.equal((await call(api, CHAT, { body })).status, 200);
  });
});

describe('a place', () => {
  it('is held until the stream has ended', async () => {
    const { api } = testApi({ edge: { concurrency: limit(1) } });
    const reply = await callOpen(api, CHAT, { body: { ...body, stream: true } });
    assert.equal((await call(api, COMPLETIONS, { body: { prompt: 'x' } })).status, 429);
    assert.ok(typeof reply.body !== 'string');
    for await (const piece of reply.body) assert.ok(piece.length > 0);
    assert.equal((await call(api, COMPLETIONS, { body: { prompt: 'x' } })).status, 200);
  });

  it('is free after a bad request, a stream that fails, and one that is left before it is read', async () => {
    const { api } = testApi({
      edge: { concurrency: limit(1) },
      script: function* () {
        yield [{ text: 'x', tokenIds: [1] }];
        throw new Error('broken');
      },
    });
    assert.equal((await call(api, CHAT, { body: {} })).status, 400);
    assert.match((await call(api, CHAT, { body: { ...body, stream: true } })).text, /internal_error/);
    const reply = await callOpen(api, CHAT, { body: { ...body, stream: true } });
    assert.ok(typeof reply.body !== 'string');
    await reply.body[Symbol.asyncIterator]().return?.();
    assert.equal((await callOpen(api, CHAT, { body: { ...body, stream: true } })).status, 200);
  });

  it('is free when its client hangs up', async (t) => {
    const script = async function* (request: GenerateRequest, signal: AbortSignal) {
      if (generator.runs.length === 1) await aborted(signal);
      yield* sayHello(request);
    };
    const { api, server, generator } = await startHttpServer(t, { edge: { concurrency: limit(1) }, script });
    const client = new RawConnection(server.port);
    client.post(CHAT, { ...body, stream: true });
    await until(() => generator.runs.length === 1);
    assert.equal((await call(api, CHAT, { body })).status, 429);
    client.socket.destroy();
    await aborted(generator.runs[0]?.signal as AbortSignal);
    assert.equal((await call(api, CHAT, { body })).status, 200);
  });

  it('is not needed for anything but generations', async () => {
    const { api } = testApi({ edge: { concurrency: limit(1) } });
    assert.equal((await callOpen(api, CHAT, { body: { ...body, stream: true } })).status, 200);
    for (const path of ['/health', '/metrics', '/v1/models']) assert.equal((await call(api, path)).status, 200, path);
  });
});

describe('with a waiting time', () => {
  const never = new AbortController().signal;

  it('a place goes to who has waited longest, and after that time the answer is 429', async () => {
    const clock = new VirtualClock();
    const gate = new ConcurrencyGate(limit(1, 2000), clock);
    const first = await gate.enter(never);
    const order: string[] = [];
    const second = gate.enter(never).then((release) => {
      order.push('second');
      return release;
    });
    const third = gate.enter(never).then(
      () => order.push('third'),
      (error) => order.push(error.message),
    );
    first();
    first();
    await second;
    await clock.advance(2000);
    await third;
    assert.deepEqual(order, ['second', 'Too many requests,current max concurrency is 1']);
    (await second)();
    (await gate.enter(never))();
  });

  it('a client that leaves while it waits takes no place', async () => {
    const gate = new ConcurrencyGate(limit(1, 2000), new VirtualClock());
    const first = await gate.enter(never);
    const abort = new AbortController();
    const waiting = gate.enter(abort.signal);
    abort.abort(new Error('left'));
    await assert.rejects(waiting, /left/);
    first();
    await gate.enter(never);
    await assert.rejects(gate.enter(AbortSignal.abort(new Error('gone'))), /gone/);
  });
});

it('what other frontends answer counts too, and its end admits who waits here', async () => {
  const never = new AbortController().signal;
  const open = new OpenGenerations();
  const gate = new ConcurrencyGate(limit(3, 2000), new VirtualClock(), open);
  open.setElsewhere(2);
  await gate.enter(never);
  const waiting = [gate.enter(never), gate.enter(never)];
  assert.equal(open.total, 3);
  open.setElsewhere(0);
  await Promise.all(waiting);
  assert.equal(open.total, 3);
});
