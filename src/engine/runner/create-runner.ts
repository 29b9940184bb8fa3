/** From plain data to a model that is ready to run. Blocks the thread it is called in. */
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname } from 'node:path';
import { defaultCacheDir, openQuantizedWeights } from '../../checkpoint/cache.ts';
import { weightsFingerprint } from '../../checkpoint/fingerprint.ts';
import { headLayout } from '../../checkpoint/head-layout.ts';
import { type Checkpoint, inspectCheckpoint, kvBytesPerToken } from '../../checkpoint/inspect.ts';
import { type Quantization, weightBits } from '../../checkpoint/quantization.ts';
import { lengthOf, type Shard, shardConfig, shardOf, shardWeights } from '../../checkpoint/shard.ts';
import { linearLayers } from '../../checkpoint/weights.ts';
import { assert, StartupError } from '../../core/errors.ts';
import type { Collective, CollectiveCounters } from '../collective/collective.ts';
import { CollectiveOps } from '../collective/custom-ops.ts';
import { buildDecoder, logitWidth } from '../graph/decoder.ts';
import type { LinearWeights } from '../graph/linear.ts';
import { quantizedLinear } from '../graph/quantized-linear.ts';
import { storedLinear } from '../graph/stored-linear.ts';
import { DeviceKvStore } from './device-kv-store.ts';
import type { KvShape } from './kv-cache.ts';
import { KvStore } from './kv-store.ts';
import type { KvLayout, ModelRunner } from './model-runner.ts';
import { OrtApi } from './ort-api.ts';
import { OrtModelRunner } from './ort-model-runner.ts';
import { type Device, OrtSession } from './ort-session.ts';

/** Plain data: it crosses a thread border. */
export interface RunnerSpec {
  readonly modelDir: string;
  readonly quantization: Quantization;
  readonly device: Device;
  readonly deviceId?: number;
  /** Threads of one operator, the rank's own included. */
  readonly threads: number;
  readonly layout: Omit<KvLayout, 'numPoolBlocks'>;
  readonly kvCacheMemoryBytes: number;
  readonly maxNumBatchedTokens: number;
  /** For repacked weights; default $XDG_CACHE_HOME/troupe, else ~/.cache/troupe. */
  readonly cacheDir?: string;
  /** Another build of the library than the one onnxruntime-node ships. */
  readonly onnxruntimeLibrary?: string;
  /** Writes ONNX Runtime's profile there. */
  readonly profilePrefix?: string;
  /** Absent = the whole model. */
  readonly tensorParallel?: { readonly rank: number; readonly size: number };
}

export interface LoadProgress {
  /** What is being done, for people. */
  readonly stage: string;
  /** 0 … 1 of this stage. */
  readonly fraction: number;
}

export interface CreatedRunner {
  readonly runner: ModelRunner;
  /** Blocks that the KV budget pays for: running rows and prefix cache together. */
  readonly numBlocks: number;
  /** Equal where equal requests give equal tokens. */
  readonly fingerprint: string;
  /** What exchanges with other ranks took so far; null where there are none. */
  readonly collectiveCounters: () => CollectiveCounters | null;
}

/**
 * Longest run of a prefill chunk, in tokens. On a CPU longer ones are no faster, and need more scratch memory. On WebGPU the attention
 * kernel for 32 tokens and more gives wrong results where subgroups are 4 wide (seen with ONNX Runtime 1.30 under SwiftShader).
 */
const MAX_PREFILL_TOKENS: Readonly<Record<Device, number>> = { cpu: 256, cuda: 2048, webgpu: 31 };

/**
 * `kvCacheMemoryBytes` is for all ranks together; each has its share. A rank of several needs `collective`, its end of the group's. Sessions
 * of several ranks in one process are created one after the other: the library keeps one map of operator domains.
 * @throws StartupError for what the operator can mend, RunnerError for what the library reports.
 */
export function createRunner(
  spec: RunnerSpec,
  onProgress: (progress: LoadProgress) => void = () => {},
  collective: Collective | null = null,
): CreatedRunner {
  const checkpoint = inspectCheckpoint(spec.modelDir);
  const shard = shardOfSpec(spec, checkpoint, collective);
  const config = shard === null ? checkpoint.config : shardConfig(checkpoint.config, shard);
  const weights = shard === null ? checkpoint.weights : shardWeights(checkpoint.config, checkpoint.weights, shard);
  const { maxNumSeqs, maxModelLen, blockSize } = spec.layout;
  const kvCacheMemoryBytes = Math.floor(spec.kvCacheMemoryBytes / (shard?.size ?? 1));
  const blockBytes = blockSize * kvBytesPerToken(config);
  const numBlocks = Math.floor(kvCacheMemoryBytes / blockBytes);
  if (numBlocks < 1) {
    throw new StartupError(
      `--kv-cache-memory-bytes ${spec.kvCacheMemoryBytes} holds no block: one takes ${blockBytes * (shard?.size ?? 1)} bytes`,
    );
  }
  // One position more than a sequence may have, so that a hole in a decode batch always has somewhere to write.
  const capacity = Math.ceil((maxModelLen + 1) / blockSize) * blockSize;
  const { linear, files } = linearWeights(spec, checkpoint, shard, onProgress);
  const graph = buildDecoder(config, weights, linear, capacity, shard);
  onProgress({ stage: 'loading weights', fraction: 0 });
  const api = new OrtApi(spec.onnxruntimeLibrary);
  const customOps = shard && collective && new CollectiveOps(api, collective, shard.vocab.map(lengthOf));
  const session = new OrtSession(api, graph, {
    ...(customOps && { customOps }),
    device: spec.device,
    deviceId: spec.deviceId ?? 0,
    threads: spec.threads,
    externalDataFolder: commonFolder(files),
    ...(spec.profilePrefix !== undefined && { profilePrefix: spec.profilePrefix }),
  });
  onProgress({ stage: 'loading weights', fraction: 1 });
  const shape: KvShape = {
    numLayers: config.numLayers,
    numKvHeads: config.numKvHeads,
    headDim: headLayout(config).paddedHeadDim,
    maxNumSeqs,
    capacity,
    blockSize,
    numPoolBlocks: numBlocks,
    budgetBytes: kvCacheMemoryBytes,
  };
  const runner = new OrtModelRunner({
    session,
    cache: spec.device === 'cpu' ? new KvStore(shape) : new DeviceKvStore(shape),
    vocabSize: config.vocabSize,
    logitWidth: logitWidth(config, shard),
    hiddenSize: config.hiddenSize,
    ...(customOps && { collective, onClosed: () => customOps.close() }),
    maxPrefillTokens: Math.min(MAX_PREFILL_TOKENS[spec.device], spec.maxNumBatchedTokens),
  });
  return {
    runner,
    numBlocks,
    fingerprint: fingerprint(spec, checkpoint, api.version),
    collectiveCounters: () => collective?.counters ?? null,
  };
}

function shardOfSpec(
  { tensorParallel, quantization, device }: RunnerSpec,
  { config }: Checkpoint,
  collective: Collective | null,
): Shard | null {
  if (tensorParallel === undefined || tensorParallel.size === 1) return null;
  if (device !== 'cpu') throw new StartupError(`--tensor-parallel-size ${tensorParallel.size} works with --device cpu only.`);
  assert(collective !== null, `rank ${tensorParallel.rank} of ${tensorParallel.size} has no way to the others`);
  return shardOf(config, tensorParallel.rank, tensorParallel.size, quantization);
}

/** Where the linear layers' weights come from, and the files that hold them. Quantises on first use. */
function linearWeights(
  spec: RunnerSpec,
  checkpoint: Checkpoint,
  shard: Shard | null,
  onProgress: (progress: LoadProgress) => void,
): { linear: LinearWeights; files: string[] } {
  const { config, weights } = checkpoint;
  if (spec.quantization === 'none') {
    const tensors = [weights.embedding, ...linearLayers(weights).map(({ weight }) => weight)];
    const own =
      shard === null ? { config, weights } : { config: shardConfig(config, shard), weights: shardWeights(config, weights, shard) };
    return { linear: storedLinear(own.config, own.weights, spec.device !== 'webgpu', shard), files: tensors.map(({ file }) => file) };
  }
  const stage = `quantising to ${spec.quantization}`;
  const cacheDir = spec.cacheDir ?? defaultCacheDir();
  const tensors = openQuantizedWeights(checkpoint, spec.quantization, cacheDir, (fraction) => onProgress({ stage, fraction }));
  const linear = quantizedLinear(config, tensors, weightBits(spec.quantization), shard);
  return { linear, files: Array.from(tensors.values(), ({ file }) => file) };
}

/** The folder that all files really lie in: ONNX Runtime refuses links that lead out of it. */
function commonFolder(files: readonly string[]): string {
  const folders = new Set([...new Set(files)].map((file) => dirname(realpathSync(file))));
  const [folder, other] = folders;
  if (folder === undefined || other !== undefined) {
    throw new StartupError(`weight files lie in different folders (${folder} and ${other}): put them, or links from one folder, together`);
  }
  return folder;
}

function fingerprint(spec: RunnerSpec, checkpoint: Checkpoint, version: string): string {
  const hash = createHash('sha256');
  hash.update(weightsFingerprint(checkpoint.config, checkpoint.weights));
  const size = spec.tensorParallel?.size ?? 1;
  hash.update(JSON.stringify([spec.quantization, spec.device, version, process.arch, cpus()[0]?.model ?? '', ...(size > 1 ? [size] : [])]));
  return hash.digest('hex').slice(0, 16);
}
