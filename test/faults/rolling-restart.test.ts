/** T-6: everything is started anew, one after the other, while clients go on asking; round after round nothing is cut and nothing fails. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { isAll } from '../support/all-faults.ts';
import { freePort, startNatsServer } from '../support/nats-server.ts';
import { runTroupe, type Server, startServer } from '../support/server.ts';
import { type StreamedChat, streamChat } from '../support/stream-chat.ts';

const ROUNDS = isAll ? 10 : 2;
const CLIENTS = 8;
const QUESTIONS = 5;

const bodyOf = (question: number) => ({
  messages: [{ role: 'user', content: `Tell me a story about the number ${question}.` }],
  max_tokens: 60,
  ignore_eos: true,
  temperature: 0,
});

class Fleet {
  readonly #t: TestContext;
  readonly #flags: readonly string[];
  readonly #port: number;
  #numStarted = 0;

  constructor(t: TestContext, url: string, port: number) {
    this.#t = t;
    this.#flags = ['--nats', url, '--max-num-seqs', '16', '--threads', '1', '--drain-migrate-after', '1'];
    this.#port = port;
  }

  start(command: 'engine' | 'frontend'): { readonly server: Server; readonly name: string } {
    const name = `${command}-${++this.#numStarted}`;
    const edge = command === 'frontend' ? ['--reuse-port', '--port', String(this.#port)] : [];
    return { server: startServer(this.#t, [command, ...this.#flags, ...edge, '--node-name', name]), name };
  }

  async drain(name: string): Promise<void> {
    const { code, stdout } = await runTroupe(['drain', name, ...this.#flags]);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /safe to delete/);
  }
}

interface Load {
  stop(): Promise<void>;
  readonly numAnswered: number;
  readonly numRetried: number;
}

/** Each client asks one question after the other. A connection that breaks before any byte of a reply is what clients repeat by themselves. */
function ask(url: string, expected: readonly StreamedChat[]): Load {
  let isStopped = false;
  const load = { numAnswered: 0, numRetried: 0 };
  const client = async (first: number): Promise<void> => {
    for (let number = first; !isStopped; number++) {
      const question = number % QUESTIONS;
      const seen = await streamChat(url, bodyOf(question)).catch((error: unknown) => {
        if (!isReset(error)) throw error;
        return null;
      });
      if (seen === null) {
        load.numRetried++;
        number--;
        continue;
      }
      assert.equal(seen.error, null);
      assert.equal(seen.text, expected[question]!.text);
      load.numAnswered++;
    }
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(i)));
  clients.catch(() => {}); // told by `stop`
  return Object.assign(load, {
    stop: async () => {
      isStopped = true;
      await clients;
    },
  });
}

/** Of the connection, before the reply began: `fetch` itself rejects then, and not the reading of the body. */
function isReset(error: unknown): boolean {
  const code = error instanceof TypeError ? (error.cause as { code?: string } | undefined)?.code : undefined;
  return error instanceof TypeError && error.message === 'fetch failed' && ['ECONNRESET', 'UND_ERR_SOCKET', 'EPIPE'].includes(code ?? '');
}

test(`T-6, ${ROUNDS} rounds, ${CLIENTS} clients: two engines and a frontend are replaced, one after the other, and no request fails`, async (t) => {
  const nats = await startNatsServer(t);
  const port = await freePort();
  const fleet = new Fleet(t, nats.url, port);
  let engines = [fleet.start('engine'), fleet.start('engine')];
  let frontend = fleet.start('frontend');
  await frontend.server.ready();
  const url = `http://127.0.0.1:${port}`;
  const untilEngines = async (count: number): Promise<void> => {
    while ((await frontend.server.metric('troupe:max_num_seqs')) < 16 * count) await frontend.server.tick(`waiting for ${count} engines`);
  };
  await untilEngines(2);
  const expected = await Promise.all(Array.from({ length: QUESTIONS }, (_, question) => streamChat(url, bodyOf(question))));
  const load = ask(url, expected);
  for (let round = 0; round < ROUNDS; round++) {
    for (const old of engines) {
      const next = fleet.start('engine');
      await next.server.logged('serving');
      await untilEngines(2); // the replacement is known before the old one goes
      await fleet.drain(old.name);
      assert.equal(await old.server.exited, 0);
      engines = [...engines.filter((engine) => engine !== old), next];
    }
    const next = fleet.start('frontend');
    await next.server.ready(); // its /ready may be answered by the old one: both share the port
    await next.server.logged('listening');
    await fleet.drain(frontend.name);
    assert.equal(await frontend.server.exited, 0);
    frontend = next;
  }
  await load.stop();
  t.diagnostic(`${load.numAnswered} requests answered, ${load.numRetried} connections reset before a reply began and asked again`);
  assert.ok(load.numAnswered > 10 * ROUNDS, 'there was load');
  while ((await frontend.server.metric('troupe:num_requests_running')) !== 0) await frontend.server.tick('waiting for the engines to rest');
});
