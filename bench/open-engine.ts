/** troupe's own engine on a checkpoint, without server, processes or messages around it. */
import { inspectCheckpoint } from '../src/checkpoint/inspect.ts';
import { SETTINGS } from '../src/config.ts';
import { GREEDY } from '../src/core/sampling-params.ts';
import { Engine } from '../src/engine/engine.ts';
import type { EngineRequest } from '../src/engine/request.ts';
import { createRunner } from '../src/engine/runner/create-runner.ts';
import { systemClock } from '../src/system-clock.ts';
import { MeteredRunner } from './metered-runner.ts';

export interface EngineSetup {
  readonly modelDir: string;
  readonly quantization: 'none' | 'wint8' | 'wint4';
  readonly device: 'cpu' | 'webgpu' | 'cuda';
  readonly threads: number;
  readonly maxNumSeqs: number;
  /** Longest prompt plus output, in tokens. */
  readonly maxModelLen: number;
  /** Token budget of one step; absent = the server's default. */
  readonly maxNumBatchedTokens?: number;
}

export interface OpenEngine {
  readonly engine: Engine;
  readonly runner: MeteredRunner;
  readonly loadSeconds: number;
}

/** KV cache enough for every sequence at full length, so that nothing is preempted; everything else as the server has it by default. */
export function openEngine(setup: EngineSetup): OpenEngine {
  const startedMs = performance.now();
  const blockSize = SETTINGS.blockSize.default as number;
  const maxNumBatchedTokens = setup.maxNumBatchedTokens ?? (SETTINGS.maxNumBatchedTokens.default as number);
  const maxModelLen = Math.ceil(setup.maxModelLen / blockSize) * blockSize;
  const { runner, numBlocks, fingerprint } = createRunner(
    {
      modelDir: setup.modelDir,
      quantization: setup.quantization,
      device: setup.device,
      threads: setup.threads,
      layout: { maxNumSeqs: setup.maxNumSeqs, maxModelLen, blockSize },
      kvCacheMemoryBytes: setup.maxNumSeqs * maxModelLen * inspectCheckpoint(setup.modelDir).kvBytesPerToken,
      maxNumBatchedTokens,
    },
    () => {},
  );
  const metered = new MeteredRunner(runner);
  const engine = new Engine({
    runner: metered,
    groupEpoch: [1, 0],
    maxNumSeqs: setup.maxNumSeqs,
    maxNumBatchedTokens,
    maxModelLen,
    blockSize,
    numBlocks,
    enablePrefixCaching: true,
    enableChunkedPrefill: true,
    maxNumWaiting: Number.MAX_SAFE_INTEGER,
    fingerprint,
    clock: systemClock,
  });
  return { engine, runner: metered, loadSeconds: (performance.now() - startedMs) / 1000 };
}

/** Greedy, never stopped early. A `cacheSalt` of its own keeps a request from finding an earlier one's blocks in the prefix cache. */
export function benchRequest(key: string, promptIds: readonly number[], maxTokens: number, cacheSalt: string): EngineRequest {
  return {
    key,
    promptIds,
    params: { ...GREEDY, maxTokens },
    seed: 0n,
    choices: [{ index: 0, outputIds: [], finished: false }],
    cacheSalt,
    priority: 0,
  };
}

/** Adds a request. @throws Error when the engine refuses it. */
export function addRequest(engine: Engine, request: EngineRequest): void {
  const result = engine.addRequest(request);
  if (result.type === 'nack') throw new Error(`The engine refused ${request.key}: ${result.message}`);
}
