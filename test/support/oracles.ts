/** Reference results computed by Hugging Face transformers: a folder per checkpoint, with golden.safetensors. */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { FAMILIES } from '../../src/checkpoint/families/index.ts';
import { readSafetensorsHeader } from '../../src/checkpoint/safetensors.ts';

export const ORACLES = resolve(import.meta.dirname, '../..', process.env.TROUPE_ORACLES ?? '../shared/oracles');

/** Prompt lengths that every golden file has. */
export const GOLDEN_LENGTHS = [1, 2, 7, 16, 33, 64, 130, 300] as const;

export interface Golden {
  readonly inputIds: Int32Array;
  /** [n, vocabSize]: of every prompt position. */
  readonly logits: Float32Array;
  /** [n, hiddenSize]: output of the final norm. */
  readonly lastHidden: Float32Array;
  /** Greedy continuation, end of sequence ignored. */
  readonly greedyIds: Int32Array;
  /** Logits that each of those was chosen from. */
  readonly greedyLogits: Float32Array;
}

/** The folder of an oracle checkpoint. Throws when it is missing: a test without its oracle proves nothing. */
export function oracleDir(name: string): string {
  const dir = join(ORACLES, name);
  if (!existsSync(dir)) throw new Error(`Oracle ${dir} is missing: set TROUPE_ORACLES to the folder of oracle checkpoints`);
  return dir;
}

/** Every folder with a dense checkpoint of a supported family and a golden file. Throws when the oracle folder is missing. */
export function denseOracles(): readonly string[] {
  if (!existsSync(ORACLES)) throw new Error(`No oracles at ${ORACLES}: set TROUPE_ORACLES`);
  return readdirSync(ORACLES).filter((name) => {
    const config = join(ORACLES, name, 'config.json');
    if (!existsSync(config) || !existsSync(join(ORACLES, name, 'golden.safetensors'))) return false;
    const { architectures } = JSON.parse(readFileSync(config, 'utf8')) as { architectures: readonly string[] };
    return FAMILIES.some(({ architecture }) => architecture === architectures[0]);
  });
}

/** The reference results in `dir` for the prompt of `length` tokens. */
export function readGolden(dir: string, length: number): Golden {
  const file = join(dir, 'golden.safetensors');
  const tensors = readSafetensorsHeader(file);
  const read = (name: string): ArrayBuffer => {
    const tensor = tensors.get(`len${length}.${name}`);
    if (tensor === undefined) throw new Error(`${file} has no len${length}.${name}`);
    const bytes = new Uint8Array(tensor.numBytes);
    const fd = openSync(file, 'r');
    readSync(fd, bytes, 0, bytes.length, tensor.offset);
    closeSync(fd);
    return bytes.buffer;
  };
  return {
    inputIds: new Int32Array(read('input_ids')),
    logits: new Float32Array(read('logits')),
    lastHidden: new Float32Array(read('last_hidden')),
    greedyIds: new Int32Array(read('greedy_ids')),
    greedyLogits: new Float32Array(read('greedy_logits')),
  };
}
