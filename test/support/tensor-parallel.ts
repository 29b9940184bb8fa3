/** A group of ranks for one test: rank 0 in the test's thread, the others in threads of their own. */
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { type FollowerWorkerData, type StepInbox, stepReceiver } from '../../src/actors/follower-port.ts';
import { exchangedRowBytes } from '../../src/actors/rank-group.ts';
import type { FromRank } from '../../src/actors/rank-port.ts';
import { startWorker } from '../../src/actors/start-worker.ts';
import { readModelConfig } from '../../src/checkpoint/model-config.ts';
import type { Epoch } from '../../src/core/ids.ts';
import { newCollectiveMemory, SharedMemoryCollective } from '../../src/engine/collective/shared-memory.ts';
import { type CreatedRunner, createRunner, type RunnerSpec } from '../../src/engine/runner/create-runner.ts';
import { LeaderRunner } from '../../src/engine/runner/group-runner.ts';
import { systemClock } from '../../src/system-clock.ts';

const LOAD_DEADLINE_MS = 60_000;

/** Returns when all ranks have loaded. Closing the runner ends the others' threads. @throws Error of the rank that failed. */
export function createParallelRunner(spec: RunnerSpec, size: number, deadlineMs = 10_000, groupEpoch: Epoch = [1, 1]): CreatedRunner {
  const { hiddenSize, vocabSize } = readModelConfig(spec.modelDir);
  const memory = newCollectiveMemory(size, exchangedRowBytes(hiddenSize, vocabSize, size));
  const turn = new SharedArrayBuffer(4);
  const collective = new SharedMemoryCollective({ rank: 0, memory, deadlineMs, clock: systemClock });
  const created = createRunner({ ...spec, tensorParallel: { rank: 0, size } }, () => {}, collective);
  const loaded = new Int32Array(turn);
  Atomics.add(loaded, 0, 1);
  const inboxes: StepInbox[] = [];
  for (let rank = 1; rank < size; rank++) {
    const reports = new MessageChannel();
    const steps = new MessageChannel();
    const wake = new SharedArrayBuffer(4);
    const worker = startWorker('follower-worker', {
      workerData: {
        runner: { ...spec, tensorParallel: { rank, size } },
        groupEpoch,
        seat: { memory, deadlineMs, turn, index: rank },
        steps: { port: steps.port2, wake },
        reports: reports.port2,
      } satisfies FollowerWorkerData,
      transferList: [steps.port2, reports.port2],
    });
    worker.unref();
    inboxes.push({ port: steps.port1, wake });
    const untilMs = systemClock.monotonic() + LOAD_DEADLINE_MS;
    while (Atomics.load(loaded, 0) === rank) {
      for (let next = receiveMessageOnPort(reports.port1); next; next = receiveMessageOnPort(reports.port1)) {
        const message = next.message as FromRank;
        if (message.type === 'failed') throw new Error(message.message);
      }
      if (systemClock.monotonic() > untilMs) throw new Error(`rank ${rank} did not load`);
      Atomics.wait(loaded, 0, rank, 50);
    }
    reports.port1.close();
  }
  const runner = new LeaderRunner(created.runner, inboxes.map(stepReceiver));
  return { ...created, runner };
}
