/** T-31: what probes and tools are told in each state of a cluster, and how processes end. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { connect } from '@nats-io/transport-node';
import { bodies, cluster, startEngine, untilServing } from '../support/nats-cluster.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { runTroupe, type Server, startServer } from '../support/server.ts';
import { streamChat } from '../support/stream-chat.ts';

const PROBES = ['/live', '/health', '/ready', '/load'];

/** Waits until the probes answer like this. */
async function untilProbes(frontend: Server, expected: readonly number[]): Promise<void> {
  for (;;) {
    const seen = await Promise.all(PROBES.map((path) => frontend.status(path)));
    if (seen.join() === expected.join()) return;
    await frontend.tick(`waiting for ${PROBES.join()} = ${expected.join()}, not ${seen.join()}`);
  }
}

/** Names of the services that answer `$SRV.PING`. */
async function pinged(t: TestContext, url: string, count: number): Promise<string[]> {
  const connection = await connect({ servers: url });
  t.after(() => connection.close());
  const answers = await connection.requestMany('$SRV.PING', '', { maxWait: 2000, maxMessages: count });
  const names: string[] = [];
  for await (const message of answers) names.push((message.json() as { name: string }).name);
  return names.sort();
}

test('T-31: loading, one of two engines dead, all dead, the broker away, draining', async (t) => {
  const nats = await startNatsServer(t);
  const flags = ['--nats', nats.url];
  const frontend = await startServer(t, ['frontend', ...flags, '--node-name', 'front']).listening();
  await untilProbes(frontend, [200, 503, 503, 200]); // no engine yet
  const engines = [startEngine(t, flags, 'node-0'), startEngine(t, flags, 'node-1')];
  await untilServing(frontend, 2);
  await untilProbes(frontend, [200, 200, 200, 200]);
  assert.deepEqual(await pinged(t, nats.url, 3), ['troupe-engine', 'troupe-engine', 'troupe-frontend']);

  engines[0]!.kill();
  assert.equal(await engines[0]!.exited, null, 'the node is gone, supervisor and all');
  await untilServing(frontend, 1);
  await untilProbes(frontend, [200, 200, 200, 200]);

  engines[1]!.kill();
  await engines[1]!.exited;
  await untilProbes(frontend, [200, 200, 503, 200]); // what runs waits for an engine; new requests better go elsewhere
  const third = startEngine(t, flags, 'node-2');
  await untilServing(frontend, 1);
  await untilProbes(frontend, [200, 200, 200, 200]);

  await nats.kill();
  await new Promise((resolve) => setTimeout(resolve, 3000));
  assert.equal(await frontend.status('/live'), 200);
  assert.equal(await frontend.status('/health'), 200, 'nobody is taken for dead by one who is cut off');
  await nats.restart();
  await untilProbes(frontend, [200, 200, 200, 200]);

  const stream = streamChat(frontend.url, bodies[0]!);
  const drained = runTroupe(['drain', 'front', ...flags]);
  assert.equal((await stream).finishReason, 'length', 'a drain cuts nothing');
  assert.equal((await drained).code, 0);
  assert.equal(await frontend.exited, 0);
  third.process.kill('SIGTERM');
  assert.equal(await third.exited, 0);
});

test('an engine whose broker never comes ends with exit code 2 and one line; a wrong password at once', async (t) => {
  const { stderr, code } = await runTroupe(['engine', '--nats', 'nats://127.0.0.1:1', '--log-level', 'error']);
  assert.equal(code, 2);
  assert.match(
    stderr,
    /^troupe: The NATS server at nats:\/\/127\.0\.0\.1:1 cannot be reached \(connection refused\)\. Gave up after 30 s\.\n$/,
  );
  const nats = await startNatsServer(t, { config: 'authorization { user: u, password: right }' });
  const refused = await runTroupe(['engine', '--nats', nats.url, '--nats-user', 'u'], { TROUPE_NATS_PASSWORD: 'wrong' });
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /^troupe: .*refused the credentials: check user and password.*\n$/);
  assert.doesNotMatch(refused.stderr, /wrong/);
});

test('T-17, nodes come and go under load: none of the streams fails or changes', async (t) => {
  const { frontend, flags, engines } = await cluster(t, 2);
  const body = bodies[0]!;
  const expected = await streamChat(frontend.url, body);
  let isOver = false;
  let numAnswered = 0;
  const clients = Promise.all(
    Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const seen = await streamChat(frontend.url, body);
        assert.equal(seen.error, null);
        assert.equal(seen.text, expected.text);
        numAnswered++;
      }
    }),
  );
  clients.catch(() => {}); // told below
  const alive = [...engines];
  for (let join = 0; join < 6; join++) {
    const next = startEngine(t, flags, `joined-${join}`);
    await next.logged('serving');
    alive.push(next);
    const leaving = alive.shift()!;
    leaving.kill();
    await leaving.exited;
  }
  isOver = true;
  await clients;
  t.diagnostic(`6 nodes came and 6 went, by kill -9 of all their processes; ${numAnswered} streams`);
  assert.ok(numAnswered > 6);
});
