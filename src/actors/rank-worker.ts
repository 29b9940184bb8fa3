/** Entry of the rank thread: load the model, then turn after turn until told to stop. Everything here is synchronous. */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { StartupError } from '../core/errors.ts';
import type { CollectiveCounters } from '../engine/collective/collective.ts';
import { Engine } from '../engine/engine.ts';
import { createRunner } from '../engine/runner/create-runner.ts';
import { LeaderRunner } from '../engine/runner/group-runner.ts';
// biome-ignore lint/style/noRestrictedImports: a thread's entry is its composition root; nobody can hand it a clock
import { systemClock } from '../system-clock.ts';
import { EngineLoop } from './engine-loop.ts';
import { awaitTurn, collectiveOf, passTurn, stepReceiver } from './follower-port.ts';
import { sharedConstraints } from './grammar-constraints.ts';
import type { FromRank, ToRank } from './rank-port.ts';
import type { RankWorkerData } from './thread-rank.ts';

const { spec, port, wake, group } = workerData as RankWorkerData;
const counter = new Int32Array(wake);
const tell = (message: FromRank): void => port.postMessage(message);

try {
  run();
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  tell({ type: 'failed', message, isStartupError: error instanceof StartupError });
} finally {
  port.close();
}

function run(): void {
  tell({ type: 'loading', stage: 'loading weights', fraction: 0 });
  if (group) awaitTurn(group.seat);
  const created = createRunner(
    spec.runner,
    (progress) => tell({ type: 'loading', ...progress }),
    group ? collectiveOf(group.seat, 0, systemClock) : null,
  );
  if (group) passTurn(group.seat);
  const { numBlocks, fingerprint } = created;
  const runner = group ? new LeaderRunner(created.runner, group.followers.map(stepReceiver)) : created.runner;
  try {
    const engine = new Engine({
      runner,
      groupEpoch: spec.groupEpoch,
      maxNumSeqs: spec.runner.layout.maxNumSeqs,
      maxNumBatchedTokens: spec.maxNumBatchedTokens,
      maxModelLen: spec.runner.layout.maxModelLen,
      blockSize: spec.runner.layout.blockSize,
      numBlocks,
      enablePrefixCaching: spec.enablePrefixCaching,
      enableChunkedPrefill: spec.enableChunkedPrefill,
      maxNumWaiting: spec.maxNumWaiting,
      fingerprint,
      clock: systemClock,
      constraints: sharedConstraints(counter),
    });
    tell({ type: 'ready', facts: { fingerprint, numBlocks, vocabSize: runner.vocabSize, blockSize: engine.blockSize } });
    turnUntilStopped(new EngineLoop(engine), created.collectiveCounters);
  } finally {
    runner.close();
  }
}

function turnUntilStopped(loop: EngineLoop, collectiveCounters: () => CollectiveCounters | null): void {
  while (!loop.isStopped) {
    const seen = Atomics.load(counter, 0);
    const inbox = receiveAll(port);
    if (inbox.length === 0 && !loop.hasWork) {
      Atomics.wait(counter, 0, seen);
      continue;
    }
    const turn = loop.runOnce(inbox);
    if (!turn) continue;
    const collective = collectiveCounters();
    tell({ type: 'turn', turn: collective ? { ...turn, collective } : turn });
  }
}

function receiveAll(from: MessagePort): ToRank[] {
  const messages: ToRank[] = [];
  for (let received = receiveMessageOnPort(from); received; received = receiveMessageOnPort(from))
    messages.push(received.message as ToRank);
  return messages;
}
