/** The threads of an engine process: one rank with the whole model, or several that share it. */
import { exchangedRowBytes, spawnRankGroup } from './actors/rank-group.ts';
import type { RankPort } from './actors/rank-port.ts';
import { type RankSpec, spawnRankThread } from './actors/thread-rank.ts';
import { readModelConfig } from './checkpoint/model-config.ts';
import type { Config } from './config.ts';
import { newCollectiveMemory } from './engine/collective/shared-memory.ts';

/** The ranks share the processors that `spec` names. @param wake the counter on which rank 0 sleeps. */
export function spawnRanks(spec: RankSpec, config: Config, wake: SharedArrayBuffer): RankPort {
  const size = config.tensorParallelSize;
  if (size === 1) return spawnRankThread(spec, wake);
  const { hiddenSize, vocabSize } = readModelConfig(spec.runner.modelDir);
  return spawnRankGroup({
    spec: { ...spec, runner: { ...spec.runner, threads: Math.max(1, Math.floor(spec.runner.threads / size)) } },
    size,
    memory: newCollectiveMemory(size, exchangedRowBytes(hiddenSize, vocabSize, size)),
    deadlineMs: config.collectiveTimeout * 1000,
    wake,
  });
}
