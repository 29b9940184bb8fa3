/** Entry of the thread of a rank other than 0: load its share, then step after step as rank 0 says. Everything here is synchronous. */
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { StartupError } from '../core/errors.ts';
import { createRunner } from '../engine/runner/create-runner.ts';
import { FollowerRunner } from '../engine/runner/group-runner.ts';
// biome-ignore lint/style/noRestrictedImports: a thread's entry is its composition root; nobody can hand it a clock
import { systemClock } from '../system-clock.ts';
import { awaitTurn, collectiveOf, type FollowerWorkerData, passTurn, type ToFollower } from './follower-port.ts';
import type { FromRank } from './rank-port.ts';

const { runner: spec, groupEpoch, seat, steps, reports } = workerData as FollowerWorkerData;
const tell = (message: FromRank): void => reports.postMessage(message);

try {
  run();
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  tell({ type: 'failed', message, isStartupError: error instanceof StartupError });
} finally {
  reports.close();
  steps.port.close();
}

function run(): void {
  awaitTurn(seat);
  const { rank = 0 } = spec.tensorParallel ?? {};
  const collective = collectiveOf(seat, rank, systemClock);
  const { runner, numBlocks, fingerprint } = createRunner(spec, (progress) => tell({ type: 'loading', ...progress }), collective);
  try {
    passTurn(seat);
    tell({ type: 'ready', facts: { fingerprint, numBlocks, vocabSize: runner.vocabSize } });
    followUntilStopped(new FollowerRunner(runner, groupEpoch));
  } finally {
    runner.close();
  }
}

function followUntilStopped(follower: FollowerRunner): void {
  const counter = new Int32Array(steps.wake);
  for (;;) {
    const seen = Atomics.load(counter, 0);
    const message = receiveMessageOnPort(steps.port)?.message as ToFollower | undefined;
    if (message === undefined) Atomics.wait(counter, 0, seen);
    else if (message.type === 'step') follower.run(message.step);
    else return;
  }
}
