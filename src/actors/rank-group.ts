/**
 * The ranks of this process that share one copy of the model, as one rank to the group's machine: rank 0 answers, all must have loaded
 * before it is ready, and the failure of one is the failure of all.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads';
import type { CollectiveMemory } from '../engine/collective/shared-memory.ts';
import type { StepInput } from '../engine/step.ts';
import type { FollowerWorkerData, GroupSeat, StepInbox, ToFollower } from './follower-port.ts';
import type { FromRank, RankFacts, RankPort } from './rank-port.ts';
import { startWorker } from './start-worker.ts';
import { newRankWake, type RankSpec, spawnRankThread } from './thread-rank.ts';

/** Longest row that ranks exchange: a position's logits (of one rank), or its hidden state. */
export const exchangedRowBytes = (hiddenSize: number, vocabSize: number, size: number): number =>
  Math.max(hiddenSize, Math.ceil(vocabSize / size)) * Float32Array.BYTES_PER_ELEMENT;

export interface RankGroupOptions {
  /** Of rank 0; its runner spec names no rank. */
  readonly spec: RankSpec;
  /** Ranks in all. */
  readonly size: number;
  /** Ranks of other processes come after those of this one: so many are here. Default: all. */
  readonly numLocal?: number;
  /** The others' processes. */
  readonly nodes?: readonly RemoteNode[];
  /** Sends what ranks of this process write to other processes. */
  readonly bridge?: { attach(outbox: MessagePort): void };
  readonly memory: CollectiveMemory;
  readonly deadlineMs: number;
  /** The counter on which rank 0 sleeps. */
  readonly wake?: SharedArrayBuffer;
}

/** Another process of the group, seen as one that follows. */
export interface RemoteNode extends Follower {
  sendStep(step: StepInput): void;
}

/** Starts the threads of all ranks of this process. */
export function spawnRankGroup(options: RankGroupOptions): RankPort {
  const { spec, size, memory, deadlineMs, nodes = [], bridge, wake = newRankWake() } = options;
  const turn = newRankWake();
  const seat = (index: number): GroupSeat => ({ memory, deadlineMs, turn, index, ...(bridge && { outbox: newOutbox(bridge) }) });
  const followers: Follower[] = [];
  const inboxes: StepInbox[] = [];
  for (let rank = 1; rank < (options.numLocal ?? size); rank++) {
    const { port1: sending, port2: receiving } = new MessageChannel();
    const stepWake = newRankWake();
    inboxes.push({ port: sending, wake: stepWake });
    const runner = { ...spec.runner, tensorParallel: { rank, size } };
    followers.push(spawnFollower({ runner, groupEpoch: spec.groupEpoch, seat: seat(rank), steps: { port: receiving, wake: stepWake } }));
  }
  for (const node of nodes) {
    const { port1: sending, port2: receiving } = new MessageChannel();
    receiving.on('message', (message: ToFollower) => {
      if (message.type === 'step') node.sendStep(message.step);
    });
    inboxes.push({ port: sending, wake: newRankWake() });
    followers.push(node);
  }
  const leader = spawnRankThread({ ...spec, runner: { ...spec.runner, tensorParallel: { rank: 0, size } } }, wake, {
    seat: seat(0),
    followers: inboxes,
  });
  return joined(leader, followers);
}

/** The rank's end of the way to other processes; `bridge` has the other. */
export function newOutbox(bridge: { attach(outbox: MessagePort): void }): MessagePort {
  const { port1, port2 } = new MessageChannel();
  bridge.attach(port1);
  return port2;
}

export interface Follower {
  onMessage(handler: (message: FromRank) => void): void;
  onExit(handler: (reason: string) => void): void;
  terminate(): void;
}

/** Starts the thread of a rank other than 0. */
export function spawnFollower(data: Omit<FollowerWorkerData, 'reports'>): Follower {
  const { port1: reports, port2: threadPort } = new MessageChannel();
  const { outbox } = data.seat;
  const worker: Worker = startWorker('follower-worker', {
    workerData: { ...data, reports: threadPort } satisfies FollowerWorkerData,
    transferList: [threadPort, data.steps.port, ...(outbox ? [outbox] : [])],
  });
  let receive: (message: FromRank) => void = () => {};
  let crash: string | null = null;
  worker.on('error', (error) => {
    crash = error instanceof Error ? error.message : String(error);
  });
  return {
    onMessage(handler) {
      receive = handler;
      reports.on('message', handler);
    },
    onExit(handler) {
      worker.on('exit', (code) => {
        drain(reports, receive);
        reports.close();
        handler(crash ?? `The rank's thread ended with code ${code}.`);
      });
    },
    terminate: () => void worker.terminate(),
  };
}

/** The thread's last words may still be in the port when its end is reported. */
function drain(port: MessagePort, receive: (message: FromRank) => void): void {
  for (let last = receiveMessageOnPort(port); last; last = receiveMessageOnPort(port)) receive(last.message as FromRank);
}

function joined(leader: RankPort, followers: readonly Follower[]): RankPort {
  const size = followers.length + 1;
  const facts = new Array<RankFacts | null>(size).fill(null);
  let isStopping = false;
  let hasFailed = false;
  return {
    post(message) {
      isStopping ||= message.type === 'stop';
      leader.post(message);
    },
    onMessage(handler) {
      const fail = (message: string, isStartupError: boolean): void => {
        if (hasFailed || isStopping) return;
        hasFailed = true;
        handler({ type: 'failed', message, isStartupError });
      };
      const ready = (rank: number, found: RankFacts): void => {
        facts[rank] = found;
        if (!facts.every((known) => known !== null)) return;
        const odd = facts.findIndex((known) => known.numBlocks !== facts[0]!.numBlocks);
        if (odd < 0) handler({ type: 'ready', facts: facts[0]! });
        else fail(`Rank ${odd} holds ${facts[odd]!.numBlocks} blocks, rank 0 ${facts[0]!.numBlocks}.`, false);
      };
      const receive = (rank: number, message: FromRank): void => {
        if (message.type === 'turn') handler(message);
        else if (message.type === 'failed') fail(`Rank ${rank}: ${message.message}`, message.isStartupError);
        else if (message.type === 'loading') handler({ ...message, fraction: (rank + message.fraction) / size });
        else ready(rank, message.facts);
      };
      leader.onMessage((message) => receive(0, message));
      for (const [i, follower] of followers.entries()) {
        follower.onMessage((message) => receive(i + 1, message));
        follower.onExit((reason) => fail(`Rank ${i + 1} ended: ${reason}`, false));
      }
    },
    onExit: (handler) =>
      leader.onExit((reason) => {
        for (const follower of followers) follower.terminate();
        handler(reason);
      }),
    terminate() {
      isStopping = true;
      leader.terminate();
      for (const follower of followers) follower.terminate();
    },
  };
}
