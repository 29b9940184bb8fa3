/** The engine group's process: its main thread does messages only, its rank thread computes. */
import type { ChildLink } from './actors/child-main.ts';
import { SupersededError, startEngineGroup } from './actors/engine-group.ts';
import { GrammarHost } from './actors/grammar-host.ts';
import { SUPERSEDED } from './actors/process-messages.ts';
import { newRankWake, type RankSpec } from './actors/thread-rank.ts';
import type { ChildAssignment } from './child-assignment.ts';
import { openTransport } from './cluster-link.ts';
import { StartupError } from './core/errors.ts';
import type { Epoch } from './core/ids.ts';
import { keepMemoryLevel } from './level-memory.ts';
import { spawnRanks } from './spawn-ranks.ts';
import { systemClock } from './system-clock.ts';
import { createLogger } from './telemetry/logger.ts';

export async function runEngine(assignment: ChildAssignment, link: ChildLink): Promise<void> {
  const { plan, id, logFormat, launchedAtMs } = assignment;
  const { config } = plan;
  const epoch: Epoch = [launchedAtMs, process.pid];
  const log = createLogger({ format: logFormat, level: config.logLevel, role: id });
  const transport = await openTransport(assignment, `${id}.${epoch.join('-')}`, log, link);
  const rankWake = newRankWake();
  const group = startEngineGroup({
    engineId: id,
    epoch,
    transport,
    clock: systemClock,
    log,
    maxNumSeqs: config.maxNumSeqs,
    grammars: new GrammarHost({ clock: systemClock, log, modelDir: plan.modelDir, rankWake }),
    spawnRank: () => {
      const spec: RankSpec = {
        groupEpoch: epoch,
        maxNumBatchedTokens: config.maxNumBatchedTokens,
        enablePrefixCaching: config.enablePrefixCaching,
        enableChunkedPrefill: config.enableChunkedPrefill,
        maxNumWaiting: config.schedulerMaxSize,
        runner: {
          modelDir: plan.modelDir,
          quantization: config.quantization,
          device: config.device,
          threads: plan.threads.threads,
          layout: { maxNumSeqs: config.maxNumSeqs, maxModelLen: plan.maxModelLen, blockSize: config.blockSize },
          kvCacheMemoryBytes: plan.kvCacheMemoryBytes,
          maxNumBatchedTokens: config.maxNumBatchedTokens,
          ...(config.cacheDir !== null && { cacheDir: config.cacheDir }),
          ...(config.onnxruntimeLibrary !== null && { onnxruntimeLibrary: config.onnxruntimeLibrary }),
        },
      };
      return spawnRanks(spec, config, rankWake, transport);
    },
    onLoading: (stage, fraction) => link.report({ type: 'loading', stage, fraction }),
  });

  keepMemoryLevel(() => group.isQuiet);
  link.onCommand(async (command) => {
    switch (command.type) {
      case 'drain':
        await group.drain({ migrateAfterMs: config.drainMigrateAfter * 1000 });
        link.report({ type: 'drained' });
        break;
      case 'stop':
        await group.stop();
        await transport.close();
        process.exit(0);
        break;
      case 'serverFailed':
        break;
    }
  });
  group.ready.then(
    (facts) => link.report({ type: 'ready', facts: { numBlocks: facts.numBlocks, peerId: transport.peerId } }),
    () => {}, // told by `ended`
  );
  const { error } = await group.ended;
  if (error === null) return;
  const exitCode = error instanceof SupersededError ? SUPERSEDED : error instanceof StartupError ? 2 : 1;
  link.report({ type: 'failed', exitCode, message: error.message });
}
