/** The ranks of node 0 when other nodes have the rest: waits for them, then starts its own. One rank to the group's machine. */
import type { CollectiveMemory } from '../engine/collective/shared-memory.ts';
import { packPlain } from '../transport/codec.ts';
import type { FrameLink } from '../transport/frame-link.ts';
import { CollectiveBridge } from './collective-bridge.ts';
import { FRAME, type GroupPlan } from './group-messages.ts';
import { gatherNodes, type Rendezvous, readControl, sendControl } from './node-rendezvous.ts';
import { type RemoteNode, spawnRankGroup } from './rank-group.ts';
import type { FromRank, RankPort, ToRank } from './rank-port.ts';
import type { RankSpec } from './thread-rank.ts';

export interface LeadingNodeOptions {
  readonly rendezvous: Omit<Rendezvous, 'onWaiting'>;
  readonly spec: RankSpec;
  readonly plan: GroupPlan;
  /** Opens the place where nodes call; `take` gets each connection. @throws Error when it cannot be had. */
  readonly listen: (take: (link: FrameLink) => void) => Promise<{ close(): void }>;
  /** A nonce for each caller. */
  readonly random: () => string;
  readonly memory: CollectiveMemory;
  readonly wake: SharedArrayBuffer;
}

export function spawnLeadingNode(options: LeadingNodeOptions): RankPort {
  const { rendezvous, plan } = options;
  let tell: (message: FromRank) => void = () => {};
  let exited: (reason: string | null) => void = () => {};
  let ranks: RankPort | null = null;
  let server: { close(): void } | null = null;
  let isOver = false;
  const early: ToRank[] = [];

  const end = (reason: string | null): void => {
    isOver = true;
    server?.close();
    exited(reason);
  };
  const start = async (): Promise<void> => {
    const onWaiting = (stage: string): void => tell({ type: 'loading', stage, fraction: 0 });
    const links = await gatherNodes({ ...rendezvous, onWaiting }, plan, options.random, (take) => {
      options.listen(take).then(
        (opened) => {
          server = opened;
          if (isOver) opened.close();
        },
        (error: unknown) => fail(error),
      );
    });
    server?.close(); // nobody else is expected; nodes that come back belong to the next epoch
    if (isOver) return;
    const bridge = new CollectiveBridge(options.memory, links, true);
    ranks = spawnRankGroup({
      spec: options.spec,
      size: rendezvous.size,
      numLocal: rendezvous.size / rendezvous.numNodes,
      memory: options.memory,
      deadlineMs: plan.collectiveDeadline,
      wake: options.wake,
      bridge,
      nodes: links.map((link, i) => remoteNode(link, bridge, i + 1)),
    });
    ranks.onMessage((message) => tell(message));
    ranks.onExit((reason) => end(reason));
    for (const message of early.splice(0)) ranks.post(message);
  };
  const fail = (error: unknown): void => {
    const isStartupError = error instanceof Error && error.name === 'StartupError';
    tell({ type: 'failed', message: error instanceof Error ? error.message : String(error), isStartupError });
  };
  queueMicrotask(() => start().catch(fail)); // when the machine listens

  return {
    post(message) {
      if (ranks) ranks.post(message);
      else if (message.type === 'stop') end(null);
      else early.push(message);
    },
    onMessage(handler) {
      tell = handler;
    },
    onExit(handler) {
      exited = handler;
    },
    terminate() {
      if (ranks) ranks.terminate();
      else end('ended before all nodes had come');
    },
  };
}

function remoteNode(link: FrameLink, bridge: CollectiveBridge, node: number): RemoteNode {
  return {
    sendStep: (step) => link.send(FRAME.step, packPlain(step)),
    onMessage: (handler) =>
      link.onFrame((kind, body) => {
        if (kind === FRAME.piece) return bridge.receive(link, body);
        const message = readControl(body);
        if (message.type === 'loading') handler({ ...message, stage: `${message.stage} (node ${node})` });
        else if (message.type === 'failed') handler(message);
        else if (message.type === 'ready') {
          const { numBlocks, fingerprint, vocabSize } = message;
          handler({ type: 'ready', facts: { numBlocks, fingerprint, vocabSize } });
        }
      }),
    onExit: (handler) => link.onClosed((reason) => handler(`node ${node} is gone: ${reason}`)),
    terminate() {
      sendControl(link, { type: 'stop' });
      link.close('the group ends');
    },
  };
}
