/**
 * The ranks of a node other than 0: joins the group, starts its threads with the plan that node 0 gave, then passes on steps and pieces.
 * It has no requests of its own; when anything fails it ends, and its supervisor starts it again to join the next epoch.
 */
import { MessageChannel } from 'node:worker_threads';
import { StartupError } from '../core/errors.ts';
import type { Epoch } from '../core/ids.ts';
import type { CollectiveMemory } from '../engine/collective/shared-memory.ts';
import type { RunnerSpec } from '../engine/runner/create-runner.ts';
import type { StepInput } from '../engine/step.ts';
import { unpackPlain } from '../transport/codec.ts';
import type { FrameLink } from '../transport/frame-link.ts';
import { CollectiveBridge } from './collective-bridge.ts';
import { stepReceiver } from './follower-port.ts';
import { FRAME, type GroupPlan } from './group-messages.ts';
import { joinGroup, type Rendezvous, readControl, sendControl } from './node-rendezvous.ts';
import { type Follower, newOutbox, spawnFollower } from './rank-group.ts';
import type { RankFacts } from './rank-port.ts';
import { newRankWake } from './thread-rank.ts';

export interface FollowingNodeOptions {
  readonly rendezvous: Omit<Rendezvous, 'onWaiting'>;
  readonly call: () => Promise<FrameLink>;
  /** What this machine decides; the rest is in the plan. */
  readonly runner: Omit<RunnerSpec, 'layout' | 'kvCacheMemoryBytes' | 'maxNumBatchedTokens' | 'tensorParallel'>;
  readonly memory: CollectiveMemory;
  readonly onLoading: (stage: string, fraction: number) => void;
  readonly onReady: (facts: RankFacts) => void;
}

export interface FollowingNode {
  /** Resolves when it is over: null after `stop`, by node 0 or here. Never rejects. */
  readonly ended: Promise<Error | null>;
  stop(): void;
}

export function startFollowingNode(options: FollowingNodeOptions): FollowingNode {
  const { rendezvous, onLoading } = options;
  let finish: (error: Error | null) => void = () => {};
  const ended = new Promise<Error | null>((resolve) => {
    finish = resolve;
  });
  const joined = joinGroup({ ...rendezvous, onWaiting: (what) => onLoading(what, 0) }, options.call);
  joined.then(
    ({ link, plan }) => run(options, link, plan, finish),
    (error: Error) => finish(error),
  );
  return {
    ended,
    stop() {
      finish(null);
      joined.then(
        ({ link }) => link.close(),
        () => {},
      );
    },
  };
}

function run(options: FollowingNodeOptions, link: FrameLink, plan: GroupPlan, finish: (error: Error | null) => void): void {
  const { rendezvous, memory } = options;
  const { node, numNodes, size } = rendezvous;
  const numLocal = size / numNodes;
  const bridge = new CollectiveBridge(memory, [link], false);
  const facts = new Array<RankFacts | null>(numLocal).fill(null);
  const turn = newRankWake();
  let isOver = false;
  const fail = (error: Error): void => {
    if (isOver) return;
    isOver = true;
    sendControl(link, { type: 'failed', message: error.message, isStartupError: error instanceof StartupError });
    link.close(error.message);
    finish(error);
  };
  const loading = (stage: string, fraction: number): void => {
    options.onLoading(stage, fraction);
    sendControl(link, { type: 'loading', stage, fraction });
  };
  const loaded = (index: number, found: RankFacts): void => {
    facts[index] = found;
    if (!facts.every((known) => known !== null)) return;
    const { numBlocks, fingerprint, vocabSize } = facts[0]!;
    sendControl(link, { type: 'ready', numBlocks, fingerprint, vocabSize });
    options.onReady(facts[0]!);
  };
  const receivers = facts.map((_, index) => {
    const { port1: sending, port2: receiving } = new MessageChannel();
    const wake = newRankWake();
    const rank = node * numLocal + index;
    const { groupEpoch, layout, kvCacheMemoryBytes, maxNumBatchedTokens, collectiveDeadline } = plan;
    const follower = spawnFollower({
      runner: { ...options.runner, layout, kvCacheMemoryBytes, maxNumBatchedTokens, tensorParallel: { rank, size } },
      groupEpoch: groupEpoch satisfies Epoch,
      seat: { memory, deadlineMs: collectiveDeadline, turn, index, outbox: newOutbox(bridge) },
      steps: { port: receiving, wake },
    });
    watch(follower, rank, {
      fail,
      loading: (stage, fraction) => loading(stage, (index + fraction) / numLocal),
      loaded: (found) => loaded(index, found),
    });
    return stepReceiver({ port: sending, wake });
  });
  link.onFrame((kind, body) => {
    if (kind === FRAME.piece) return bridge.receive(link, body);
    if (kind === FRAME.step) {
      const step = unpackPlain(body) as StepInput;
      for (const receiver of receivers) receiver.send(step);
    } else if (readControl(body).type === 'stop') {
      isOver = true;
      finish(null);
    }
  });
  link.onClosed((reason) => fail(new Error(`Node 0 is gone: ${reason}.`)));
}

interface RankWatch {
  fail(error: Error): void;
  loading(stage: string, fraction: number): void;
  loaded(facts: RankFacts): void;
}

function watch(follower: Follower, rank: number, { fail, loading, loaded }: RankWatch): void {
  follower.onMessage((message) => {
    if (message.type === 'loading') loading(message.stage, message.fraction);
    else if (message.type === 'ready') loaded(message.facts);
    else if (message.type === 'failed') {
      const text = `Rank ${rank}: ${message.message}`;
      fail(message.isStartupError ? new StartupError(text) : new Error(text));
    }
  });
  follower.onExit((reason) => fail(new Error(`Rank ${rank} ended: ${reason}`)));
}
