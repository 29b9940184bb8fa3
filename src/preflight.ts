/**
 * Everything that can be known before a process is started: the model and its files, what it needs and what the machine has.
 * Whatever cannot work ends here with one line.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { inspectCheckpoint, kvBytesPerToken as shardKvBytes } from './checkpoint/inspect.ts';
import { QUANTIZATIONS } from './checkpoint/quantization.ts';
import { resolveModel } from './checkpoint/resolve.ts';
import { shardConfig, shardOf } from './checkpoint/shard.ts';
import type { Config } from './config.ts';
import { StartupError } from './core/errors.ts';
import { type Machine, shareOf, type ThreadChoice } from './hardware.ts';
import { tensorNodesOf } from './tensor-nodes.ts';
import { ChatTemplate } from './text/chat-template.ts';

/** The settings with everything chosen that was left open, and what the start-up lines say about it. */
export interface ServePlan {
  readonly config: Config;
  readonly modelDir: string;
  readonly modelNames: readonly string[];
  readonly isNameChecked: boolean;
  readonly architecture: string;
  readonly numParameters: number;
  readonly weightBytes: number;
  readonly threads: ThreadChoice;
  readonly maxModelLen: number;
  readonly kvCacheMemoryBytes: number;
  /** What that holds, over all sequences and cached prefixes. */
  readonly kvCacheTokens: number;
  /** Sentences for the start-up lines: where another setting would serve better. */
  readonly hints: readonly string[];
}

/** What a process needs beside weights and KV cache: Node, tokenizer, activations, logits. */
const OVERHEAD_BYTES = 300 * 2 ** 20;
/** Below this the weights are read so quickly that quantising them changes little. */
const WORTH_QUANTISING_BYTES = 512 * 2 ** 20;

/** What runs here: engines, frontends, or both. */
export type Command = 'serve' | 'engine' | 'frontend';

/** @throws StartupError, one line. */
export function preflight(
  config: Config,
  embeddedModel: string,
  env: NodeJS.ProcessEnv,
  wholeMachine: Machine,
  command: Command = 'serve',
): ServePlan {
  // A frontend reads the tokenizer and the configuration only: the weights have to fit where the engines are.
  const machine =
    command === 'frontend' ? { ...wholeMachine, availableBytes: Number.POSITIVE_INFINITY } : shareOf(wholeMachine, config.dataParallelSize);
  const { dir, name } = resolveModel(config.model ?? embeddedModel, env);
  const checkpoint = inspectCheckpoint(dir);
  checkTensorParallel(config, checkpoint);
  const limit = checkpoint.config.maxPositionEmbeddings;
  if (config.maxModelLen !== null && config.maxModelLen > limit) {
    throw new StartupError(
      `--max-model-len ${config.maxModelLen} is above the ${limit} positions of the model in ${dir} (max_position_embeddings).`,
    );
  }
  const weightBytes = checkModelFits(config, checkpoint, machine.availableBytes);
  const free = machine.availableBytes - weightBytes - OVERHEAD_BYTES;
  const { maxModelLen, kvCacheMemoryBytes, kvCacheTokens } = chooseKvCache(config, kvBytesPerTokenOf(config, checkpoint), limit, free);
  if ((config.enableEarlyStop || config.earlyStopConfig.enable_early_stop) && config.logprobsMode.endsWith('logits')) {
    throw new StartupError(`The early stop looks at log-probabilities: start without --logprobs-mode ${config.logprobsMode}.`);
  }
  const chatTemplate = config.chatTemplate === null ? null : readChatTemplate(config.chatTemplate, dir);
  const threads = config.threads === null ? machine.threads : { threads: config.threads, why: '--threads' };
  return {
    config: { ...config, chatTemplate, maxModelLen, kvCacheMemoryBytes, threads: threads.threads },
    modelDir: dir,
    modelNames: config.servedModelName ?? [name],
    isNameChecked: config.servedModelName !== null,
    architecture: checkpoint.config.family,
    numParameters: checkpoint.numParameters,
    weightBytes,
    threads,
    maxModelLen,
    kvCacheMemoryBytes,
    kvCacheTokens,
    hints: quantisationHints(config, checkpoint),
  };
}

/** The template's text: of the file of that name, or what was given itself, which then holds Jinja. */
function readChatTemplate(given: string, modelDir: string): string {
  const isFile = existsSync(given) && statSync(given).isFile();
  if (!isFile && !/[{}\n]/.test(given)) throw new StartupError(`--chat-template ${given} is no file, and no Jinja template either.`);
  const source = isFile ? readFileSync(given, 'utf8') : given;
  ChatTemplate.ofServer(source, modelDir);
  return source;
}

/** @throws StartupError where the model or the device does not allow so many ranks. */
function checkTensorParallel(settings: Config, { config }: Checkpoint): void {
  const { tensorParallelSize: size, quantization, device } = settings;
  tensorNodesOf(settings);
  if (size === 1) return;
  if (device !== 'cpu') throw new StartupError(`--tensor-parallel-size ${size} works with --device cpu only.`);
  shardOf(config, 0, size, quantization);
}

/** Over all ranks: KV heads are held twice where there are fewer than ranks. */
function kvBytesPerTokenOf({ tensorParallelSize: size, quantization }: Config, { config, kvBytesPerToken }: Checkpoint): number {
  return size === 1 ? kvBytesPerToken : size * shardKvBytes(shardConfig(config, shardOf(config, 0, size, quantization)));
}

type Checkpoint = ReturnType<typeof inspectCheckpoint>;

/** @returns the bytes of the weights, beside which at least one block of the KV cache has room. */
function checkModelFits(config: Config, checkpoint: Checkpoint, available: number): number {
  const bytesPerToken = kvBytesPerTokenOf(config, checkpoint);
  const blockBytes = bytesPerToken * config.blockSize;
  const fits = (quantization: Config['quantization']): boolean =>
    checkpoint.weightBytes(quantization) + OVERHEAD_BYTES + blockBytes <= available;
  const needed = checkpoint.weightBytes(config.quantization);
  if (fits(config.quantization)) return needed;
  const smaller = QUANTIZATIONS.find((quantization) => checkpoint.weightBytes(quantization) < needed && fits(quantization));
  const isBlockTooLarge = needed + OVERHEAD_BYTES + bytesPerToken <= available;
  const help = smaller
    ? `--quantization ${smaller} needs ${size(checkpoint.weightBytes(smaller))} for its weights.`
    : isBlockTooLarge
      ? 'lower --block-size.'
      : 'a smaller model is needed.';
  throw new StartupError(
    `The model needs ${size(needed)} for its weights (--quantization ${config.quantization}), ${size(OVERHEAD_BYTES)} beside them and ${size(blockBytes)} for one block of the KV cache, but ${size(available)} of memory are available; ${help}`,
  );
}

/** @param free bytes beside the weights: a block or more. */
function chooseKvCache(
  config: Config,
  bytesPerToken: number,
  modelLimit: number,
  free: number,
): Pick<ServePlan, 'maxModelLen' | 'kvCacheMemoryBytes' | 'kvCacheTokens'> {
  const blockBytes = bytesPerToken * config.blockSize;
  const bytesFor = (numTokens: number): number => Math.ceil(numTokens / config.blockSize) * blockBytes;
  const kvCacheMemoryBytes =
    config.kvCacheMemoryBytes ??
    Math.max(blockBytes, Math.min(config.maxNumSeqs * bytesFor(config.maxModelLen ?? modelLimit), Math.floor(free / 2)));
  if (kvCacheMemoryBytes > free) {
    throw new StartupError(
      `The KV cache needs ${size(kvCacheMemoryBytes)}, but ${size(free)} of memory are left beside the weights; lower it with --kv-cache-memory-bytes.`,
    );
  }
  const numTokens = Math.floor(kvCacheMemoryBytes / blockBytes) * config.blockSize;
  const maxModelLen = config.maxModelLen ?? Math.min(modelLimit, numTokens);
  if (maxModelLen > numTokens || maxModelLen === 0) {
    const wanted = Math.max(1, config.maxModelLen ?? 1);
    const canRaise = bytesFor(wanted) <= free;
    const help = [
      ...(canRaise ? ['raise --kv-cache-memory-bytes'] : []),
      ...(config.maxModelLen === null ? [] : ['lower --max-model-len']),
    ];
    throw new StartupError(
      `A KV cache of ${size(kvCacheMemoryBytes)} holds ${numTokens} tokens, fewer than one sequence of ${wanted} needs (${size(bytesFor(wanted))}); ${help.join(' or ')}.`,
    );
  }
  return { maxModelLen, kvCacheMemoryBytes, kvCacheTokens: numTokens };
}

function quantisationHints(config: Config, checkpoint: Checkpoint): string[] {
  if (config.quantization !== 'none' || config.device !== 'cpu') return [];
  const plain = checkpoint.weightBytes('none');
  if (plain < WORTH_QUANTISING_BYTES) return [];
  const quantised = checkpoint.weightBytes('wint8');
  return [
    `--quantization wint8 would hold the weights in ${size(quantised)} instead of ${size(plain)}, and decode reads all of them for each token.`,
  ];
}

/** 1610612736 → `1.5 GiB`. */
export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const exponent = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** exponent;
  return `${exponent === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[exponent]}`;
}
