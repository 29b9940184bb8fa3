/** What every adapter of the Transport port promises; each adapter's test runs it on a pair of its own. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { type IncomingMessage, type Transport, TransportError } from '../../src/transport/transport.ts';

export interface TransportPair {
  readonly a: Transport;
  readonly b: Transport;
  /** Lets `a` lose its own connection, and gives it back; absent where the adapter has nothing to be cut off from. */
  readonly cutOff?: { disconnect(): void | Promise<void>; reconnect(): void | Promise<void> };
}

/** `makePair`: two connected transports, closed with the test. */
export function transportContract(name: string, makePair: (t: TestContext) => Promise<TransportPair>): void {
  const contract = (title: string, run: (pair: TransportPair, t: TestContext) => Promise<void>): void => {
    test(title, async (t) => run(await makePair(t), t));
  };

  describe(`${name} keeps the transport contract`, () => {
    contract('messages of one publisher on one subject arrive in order, each once', async ({ a, b }) => {
      const received = collect(b, 'order.test', 1000);
      await settled(a, b);
      for (let i = 0; i < 1000; i++) a.publish('order.test', bytes(i));
      assert.deepEqual(
        (await received).map(numberOf),
        Array.from({ length: 1000 }, (_, i) => i),
      );
      // Had one come twice, it would be ahead of this.
      const next = collect(b, 'order.test', 1);
      await settled(a, b);
      a.publish('order.test', bytes(-1));
      assert.deepEqual((await next).map(numberOf), [-1]);
    });

    contract('a message goes to every subscriber, in the publishing process too, and to each once', async ({ a, b }) => {
      const all = [collect(a, 'news', 2), collect(b, 'news', 2), collect(b, 'news', 2)];
      await settled(a, b);
      a.publish('news', bytes(1));
      a.publish('news', bytes(2));
      for (const received of all) assert.deepEqual((await received).map(numberOf), [1, 2]);
    });

    contract('`*` stands for one token, a trailing `>` for one or more', async ({ a, b }) => {
      const subjects = ['x.y', 'x.y.z', 'x', 'x.q', 'end.of.list'];
      const seen: Record<string, string[]> = {};
      for (const pattern of ['x.*', 'x.>', 'x.y', '*.*.z']) {
        seen[pattern] = [];
        b.subscribe(pattern, ({ subject }) => seen[pattern]?.push(subject));
      }
      const end = collect(b, 'end.of.list', 1);
      await settled(a, b);
      for (const subject of subjects) a.publish(subject, bytes(0));
      await end;
      assert.deepEqual(seen, { 'x.*': ['x.y', 'x.q'], 'x.>': ['x.y', 'x.y.z', 'x.q'], 'x.y': ['x.y'], '*.*.z': ['x.y.z'] });
    });

    contract('publishing to nobody does nothing', async ({ a }) => {
      assert.doesNotThrow(() => a.publish('nobody.listens', bytes(1)));
    });

    contract('a publish never calls a handler before it returns', async ({ a }) => {
      let isPublishing = true;
      const received = new Promise<boolean>((resolve) => a.subscribe('later', () => resolve(isPublishing)));
      await settled(a);
      a.publish('later', bytes(1));
      isPublishing = false;
      assert.equal(await received, false);
    });

    contract('a request gets its own answer, also when answers come in another order', async ({ a, b }) => {
      const waiting: IncomingMessage[] = [];
      b.subscribe('square', (message) => {
        waiting.push(message);
        if (waiting.length === 3) for (const each of waiting.reverse()) each.respond(bytes(numberOf(each.data) ** 2));
      });
      await settled(a, b);
      const answers = await Promise.all([2, 3, 4].map((n) => a.request('square', bytes(n), 10_000)));
      assert.deepEqual(answers.map(numberOf), [4, 9, 16]);
    });

    contract('a process can ask itself', async ({ a }) => {
      a.subscribe('self', (message) => message.respond(bytes(numberOf(message.data) + 1)));
      await settled(a);
      assert.equal(numberOf(await a.request('self', bytes(1), 10_000)), 2);
    });

    contract('a responder that subscribes before it says so can be asked by whoever hears it', async ({ a, b }) => {
      const answer = new Promise<Uint8Array>((resolve, reject) => {
        a.subscribe('announce', () => a.request('just.made', bytes(7), 10_000).then(resolve, reject));
      });
      await settled(a, b);
      b.subscribe('just.made', (message) => message.respond(message.data));
      b.publish('announce', bytes(0));
      assert.equal(numberOf(await answer), 7);
    });

    contract('a request that nobody subscribes to fails at once with no_responders', async ({ a, b }) => {
      await assert.rejects(a.request('nobody.there', bytes(1), 3_600_000), withCode('no_responders'));
      const subscription = b.subscribe('was.there', () => assert.fail('it was unsubscribed'));
      await settled(a, b);
      subscription.unsubscribe();
      await assert.rejects(a.request('was.there', bytes(1), 3_600_000), withCode('no_responders'));
    });

    contract('a request that is not answered fails with timeout', async ({ a, b }) => {
      b.subscribe('silence', () => {});
      await settled(a, b);
      await assert.rejects(a.request('silence', bytes(1), 5), withCode('timeout'));
    });

    contract('messages of several megabytes arrive whole, and in order with small ones', async ({ a, b }) => {
      const received = collect(b, 'large', 5);
      await settled(a, b);
      const large = Uint8Array.from({ length: 5_000_000 }, (_, i) => (i * 31) % 251);
      for (const data of [bytes(1), large, bytes(2), large.subarray(1), bytes(3)]) a.publish('large', data);
      const sizes = (await received).map((data) => data.byteLength);
      assert.deepEqual(sizes, [8, 5_000_000, 8, 4_999_999, 8]);
      assert.ok(Buffer.from(large).equals((await received)[1] as Uint8Array));

      b.subscribe('echo', (message) => message.respond(message.data));
      await settled(a, b);
      assert.ok(Buffer.from(large).equals(await a.request('echo', large, 30_000)));
    });

    contract('a message longer than maxMessageBytes is refused with too_large', async ({ a }) => {
      const data = new Uint8Array(a.maxMessageBytes + 1);
      assert.throws(() => a.publish('huge', data), withCode('too_large'));
      await assert.rejects(a.request('huge', data, 1000), withCode('too_large'));
    });

    contract('no handler call starts after unsubscribe', async ({ a, b }) => {
      let numCalls = 0;
      const subscription = b.subscribe('stop', () => {
        numCalls++;
        subscription.unsubscribe();
      });
      await settled(a, b);
      const end = collect(b, 'stop.end', 1);
      await settled(a, b);
      for (let i = 0; i < 5; i++) a.publish('stop', bytes(i));
      a.publish('stop.end', bytes(0));
      await end;
      assert.equal(numCalls, 1);
      subscription.unsubscribe(); // twice is harmless
    });

    contract('drain delivers what was published, then the process is gone for the others', async ({ a, b }) => {
      const received = collect(b, 'last.words', 200);
      const gone = new Promise<string>((resolve) => b.onPeerGone(resolve));
      await settled(a, b);
      const large = new Uint8Array(100_000).fill(7);
      for (let i = 0; i < 200; i++) a.publish('last.words', large);
      await a.drain();
      assert.equal((await received).length, 200);
      assert.equal(await gone, a.peerId);
      await assert.rejects(a.request('last.words', bytes(1), 1000), withCode('closed'));
    });

    contract('close fails what was asked with closed, and is harmless twice', async ({ a, b }) => {
      b.subscribe('silence', () => {});
      await settled(a, b);
      const answer = assert.rejects(a.request('silence', bytes(1), 3_600_000), withCode('closed'));
      await a.close();
      await answer;
      await a.close();
      assert.doesNotThrow(() => a.publish('silence', bytes(1)));
    });

    contract('a process that loses and regains its own connection is told', async (pair) => {
      const told: string[] = [];
      pair.a.onSelfDisconnected(() => told.push('disconnected'));
      pair.a.onSelfReconnected(() => told.push('reconnected'));
      if (!pair.cutOff) {
        // Nothing to be cut off from: the handlers are taken, and traffic does not make them fire.
        const received = collect(pair.b, 'traffic', 1);
        await settled(pair.a, pair.b);
        pair.a.publish('traffic', bytes(1));
        await received;
        assert.deepEqual(told, []);
        return;
      }
      await pair.cutOff.disconnect();
      assert.deepEqual(told, ['disconnected']);
      await pair.cutOff.reconnect();
      assert.deepEqual(told, ['disconnected', 'reconnected']);
      const received = collect(pair.b, 'again', 1);
      await settled(pair.a, pair.b);
      pair.a.publish('again', bytes(5));
      assert.deepEqual((await received).map(numberOf), [5]);
    });
  });
}

let numSettles = 0;

/** Returns when subscriptions made so far are known: a message of one side to each other reaches it on the same way, behind them. */
export async function settled(...transports: readonly Transport[]): Promise<void> {
  const subject = `settled.${++numSettles}`;
  for (const from of transports) {
    for (const to of transports) {
      if (from === to) continue;
      const subscription = to.subscribe(subject, (message) => message.respond(message.data));
      await answered(from, subject);
      subscription.unsubscribe();
    }
  }
}

async function answered(from: Transport, subject: string): Promise<void> {
  for (;;) {
    try {
      await from.request(subject, bytes(0), 10_000);
      return;
    } catch (error) {
      if (!(error instanceof TransportError) || error.code !== 'no_responders') throw error;
      await new Promise((resolve) => setImmediate(resolve)); // the subscription is on its way
    }
  }
}

/** The next `count` messages. */
export function collect(transport: Transport, pattern: string, count: number): Promise<Uint8Array[]> {
  return new Promise((resolve) => {
    const received: Uint8Array[] = [];
    const subscription = transport.subscribe(pattern, ({ data }) => {
      received.push(data);
      if (received.length < count) return;
      subscription.unsubscribe();
      resolve(received);
    });
  });
}

export const bytes = (value: number): Uint8Array => new Uint8Array(Float64Array.of(value).buffer);
export const numberOf = (data: Uint8Array): number => new DataView(data.buffer, data.byteOffset, data.byteLength).getFloat64(0, true);
export const withCode = (code: TransportError['code']) => (error: unknown) => error instanceof TransportError && error.code === code;
