/** A service of several processes over a real nats-server, and 64 streams to run through it. */

import type { TestContext } from 'node:test';
import type { FaultProxy } from './fault-proxy.ts';
import { type NatsServer, startNatsServer } from './nats-server.ts';
import type { Network, Node } from './network.ts';
import { type Server, startServer } from './server.ts';
import { type StreamedChat, streamChat } from './stream-chat.ts';
import { comparableBodies } from './token-identity.ts';

export const bodies = comparableBodies(32);

export interface Running {
  readonly nats: NatsServer;
  readonly flags: readonly string[];
  readonly engines: readonly Server[];
  /** Of the engines, where there is a network. */
  readonly nodes: readonly Node[];
  readonly proxy: FaultProxy | null;
  readonly frontend: Server;
}

export interface ClusterOptions {
  /** Every engine on a node of its own network. */
  readonly network?: Network;
  /** Where the frontend finds the broker, if not directly. */
  readonly proxied?: (nats: NatsServer) => Promise<FaultProxy>;
}

export async function cluster(t: TestContext, numEngines: number, { network, proxied }: ClusterOptions = {}): Promise<Running> {
  const nats = await startNatsServer(t, network ? { host: network.address } : {});
  const flags = ['--nats', nats.url];
  const proxy = await proxied?.(nats);
  const frontend = startServer(t, ['frontend', '--nats', proxy?.url ?? nats.url, '--node-name', 'front']);
  const nodes = Array.from({ length: numEngines }, () => network?.addNode(t) ?? null);
  const engines = nodes.map((node, i) => startEngine(t, flags, `node-${i}`, node?.prefix));
  await frontend.ready();
  await untilServing(frontend, numEngines);
  return { nats, flags, engines, nodes: nodes.filter((node) => node !== null), proxy: proxy ?? null, frontend };
}

export const startEngine = (t: TestContext, flags: readonly string[], name: string, prefix: readonly string[] = []): Server =>
  startServer(t, ['engine', ...flags, '--node-name', name, '--max-num-seqs', '64', '--threads', '1'], {}, prefix);

export async function untilServing(frontend: Server, numEngines: number): Promise<void> {
  while ((await frontend.metric('troupe:max_num_seqs')) !== 64 * numEngines) await frontend.tick(`waiting for ${numEngines} engines`);
}

/** Runs all bodies; `act` is called once, when so many tokens a stream have come. @returns what they said, and the longest gap. */
export async function runAll(frontend: Server, afterChunks = Number.POSITIVE_INFINITY, act: () => void = () => {}) {
  let numChunks = 0;
  let longestMs = 0;
  const streams: StreamedChat[] = await Promise.all(
    bodies.map((body) => {
      let last: number | null = null;
      return streamChat(frontend.url, body, () => {
        const now = performance.now();
        if (last !== null) longestMs = Math.max(longestMs, now - last);
        last = now;
        if (++numChunks === afterChunks * bodies.length) act();
      });
    }),
  );
  return { streams, longestMs };
}

export async function untilIdle(frontend: Server): Promise<void> {
  for (const gauge of ['troupe:num_requests_running', 'troupe:num_requests_waiting', 'troupe:kv_cache_usage_ratio']) {
    while ((await frontend.metric(gauge)) !== 0) await frontend.tick(`waiting for ${gauge} to return to 0`);
  }
}
