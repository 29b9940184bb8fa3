/**
 * A rank in a worker thread. The thread runs synchronously and sleeps on a shared counter when it has no work, so every message to it is
 * posted first and then counted: whoever sees the new count finds the message.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { Epoch } from '../core/ids.ts';
import type { RunnerSpec } from '../engine/runner/create-runner.ts';
import type { GroupSeat, StepInbox } from './follower-port.ts';
import type { FromRank, RankPort, ToRank } from './rank-port.ts';
import { startWorker } from './start-worker.ts';

/** Plain data: what the thread builds its runner and its engine from. */
export interface RankSpec {
  readonly runner: RunnerSpec;
  readonly groupEpoch: Epoch;
  readonly maxNumBatchedTokens: number;
  readonly enablePrefixCaching: boolean;
  readonly enableChunkedPrefill: boolean;
  /** Requests that may wait; above it the engine answers queue_full. */
  readonly maxNumWaiting: number;
}

export interface RankWorkerData {
  readonly spec: RankSpec;
  readonly port: MessagePort;
  /** One Int32: counts messages posted to the thread. */
  readonly wake: SharedArrayBuffer;
  /** Of rank 0 of several. */
  readonly group?: RankGroupSeat;
}

export interface RankGroupSeat {
  readonly seat: GroupSeat;
  /** Where the steps of the other ranks go. */
  readonly followers: readonly StepInbox[];
}

/** The counter on which a rank sleeps; whoever has something for it counts up. */
export const newRankWake = (): SharedArrayBuffer => new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);

/** Starts the thread. It loads the model at once and reports through the port. */
export function spawnRankThread(spec: RankSpec, wake = newRankWake(), group?: RankGroupSeat): RankPort {
  const { port1: port, port2: threadPort } = new MessageChannel();
  const counter = new Int32Array(wake);
  const worker = startWorker('rank-worker', {
    workerData: { spec, port: threadPort, wake, ...(group && { group }) } satisfies RankWorkerData,
    transferList: [threadPort, ...(group ? portsOf(group) : [])],
  });
  let isAskedToStop = false;
  let receive: (message: FromRank) => void = () => {};
  let crash: string | null = null;
  worker.on('error', (error) => {
    crash = error instanceof Error ? error.message : String(error);
  });
  return {
    post(message: ToRank) {
      isAskedToStop ||= message.type === 'stop';
      port.postMessage(message);
      Atomics.add(counter, 0, 1);
      Atomics.notify(counter, 0);
    },
    onMessage(handler: (message: FromRank) => void) {
      receive = handler;
      port.on('message', handler);
    },
    onExit(handler) {
      worker.on('exit', (code) => {
        // The thread's last words may still be in the port when its end is reported.
        for (let last = receiveMessageOnPort(port); last; last = receiveMessageOnPort(port)) receive(last.message as FromRank);
        port.close();
        handler(isAskedToStop ? null : (crash ?? `The rank's thread ended with code ${code}.`));
      });
    },
    terminate() {
      void worker.terminate();
    },
  };
}

function portsOf({ seat, followers }: RankGroupSeat): MessagePort[] {
  return [...followers.map(({ port }) => port), ...(seat.outbox ? [seat.outbox] : [])];
}
