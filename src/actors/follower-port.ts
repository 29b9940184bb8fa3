/** Between rank 0 and the thread of another rank, and that thread's main thread: plain data that survives a structured clone. */
import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '../core/clock.ts';
import type { Epoch } from '../core/ids.ts';
import { type CollectiveMemory, SharedMemoryCollective, type WrittenPiece } from '../engine/collective/shared-memory.ts';
import type { RunnerSpec } from '../engine/runner/create-runner.ts';
import type { StepReceiver } from '../engine/runner/group-runner.ts';
import type { StepInput } from '../engine/step.ts';

/** Lost = the rank misses the next exchange, and the group ends by its deadline. */
export type ToFollower = { readonly type: 'step'; readonly step: StepInput } | { readonly type: 'stop' };

/** What each rank's thread has of its group. */
export interface GroupSeat {
  readonly memory: CollectiveMemory;
  readonly deadlineMs: number;
  /** One Int32: ranks of this process that have loaded. They do so one after the other, in the order of `index`. */
  readonly turn: SharedArrayBuffer;
  /** Among the ranks of this process. */
  readonly index: number;
  /** Told of each piece for ranks of other processes; absent where there are none. */
  readonly outbox?: MessagePort;
}

/** Where a rank's steps come in: a port, and the counter on which its thread sleeps. */
export interface StepInbox {
  readonly port: MessagePort;
  readonly wake: SharedArrayBuffer;
}

export interface FollowerWorkerData {
  readonly runner: RunnerSpec;
  readonly groupEpoch: Epoch;
  readonly seat: GroupSeat;
  readonly steps: StepInbox;
  /** To the main thread: FromRank. */
  readonly reports: MessagePort;
}

/** A rank's end of its group's exchanges. */
export function collectiveOf({ memory, deadlineMs, outbox }: GroupSeat, rank: number, clock: Clock): SharedMemoryCollective {
  const onWritten = outbox && ((piece: WrittenPiece) => outbox.postMessage({ rank, ...piece }));
  return new SharedMemoryCollective({ rank, memory, deadlineMs, clock, ...(onWritten && { onWritten }) });
}

/** The sending end of an inbox. */
export function stepReceiver({ port, wake }: StepInbox): StepReceiver {
  const counter = new Int32Array(wake);
  const post = (message: ToFollower): void => {
    port.postMessage(message);
    Atomics.add(counter, 0, 1);
    Atomics.notify(counter, 0);
  };
  return { send: (step) => post({ type: 'step', step }), close: () => post({ type: 'stop' }) };
}

/** Waits until it is this rank's turn to load. */
export function awaitTurn({ turn, index }: GroupSeat): void {
  const loaded = new Int32Array(turn);
  for (let count = Atomics.load(loaded, 0); count < index; count = Atomics.load(loaded, 0)) Atomics.wait(loaded, 0, count);
}

/** The next rank may load. */
export function passTurn({ turn }: GroupSeat): void {
  const loaded = new Int32Array(turn);
  Atomics.add(loaded, 0, 1);
  Atomics.notify(loaded, 0);
}
