/**
 * A wire that misbehaves: TCP connections to one address, forwarded with delay or loss, or held in either direction. What is held is not
 * lost, as TCP would send it again; nobody is told that anything is wrong.
 */
import { once } from 'node:events';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

export interface ProxyFaults {
  /** Each piece waits this long, in order. */
  readonly delayMs?: number;
  /** Share of the pieces that are lost once and sent again after `resendMs`: what comes behind them waits. */
  readonly lossRate?: number;
  /** 200 ms, Linux's shortest retransmission time-out. */
  readonly resendMs?: number;
  /** For losses. */
  readonly random?: () => number;
}

type Direction = 'up' | 'down';

export class FaultProxy {
  readonly #faults: ProxyFaults;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #held = new Set<Direction>();
  #resumed: (() => void)[] = [];
  /** Pieces that were delayed by a fault, so that a test can see that there were any. */
  numFaults = 0;

  /** Ended with the test. */
  static async start(t: TestContext, host: string, port: number, faults: ProxyFaults = {}): Promise<FaultProxy> {
    const proxy = new FaultProxy(host, port, faults);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    t.after(() => proxy.#close());
    return proxy;
  }

  private constructor(host: string, port: number, faults: ProxyFaults) {
    this.#faults = faults;
    this.#server = createServer((near) => {
      const far = dial({ host, port });
      for (const socket of [near, far]) {
        socket.setNoDelay(true);
        this.#sockets.add(socket);
        socket.on('close', () => this.#sockets.delete(socket));
        socket.on('error', () => {});
      }
      void this.#forward(near, far, 'up');
      void this.#forward(far, near, 'down');
    });
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('The proxy does not listen.');
    return `nats://127.0.0.1:${address.port}`;
  }

  /** Nothing passes in these directions any more: `up` is towards the server. */
  hold(...directions: readonly Direction[]): void {
    for (const direction of directions) this.#held.add(direction);
  }

  release(): void {
    this.#held.clear();
    for (const resume of this.#resumed.splice(0)) resume();
  }

  async #forward(from: Socket, to: Socket, direction: Direction): Promise<void> {
    const { delayMs = 0, lossRate = 0, resendMs = 200, random = Math.random } = this.#faults;
    try {
      for await (const piece of from) {
        const isLost = lossRate > 0 && random() < lossRate;
        if (isLost || this.#held.has(direction)) this.numFaults++;
        const waitMs = delayMs + (isLost ? resendMs : 0);
        if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
        while (this.#held.has(direction)) await new Promise<void>((resolve) => this.#resumed.push(resolve));
        if (!to.write(piece as Buffer)) await once(to, 'drain');
      }
      to.end();
    } catch {
      to.destroy();
    }
  }

  #close(): void {
    this.release();
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
