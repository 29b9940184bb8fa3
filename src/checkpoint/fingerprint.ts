/** What the weights are, in a few bytes, read in milliseconds: equal on every machine that has the same files. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import type { ModelConfig } from './model-config.ts';
import { allTensors, type Weights } from './weights.ts';

/** Bytes taken from the middle of each tensor. */
const SAMPLE_BYTES = 4096;

/** A hash of the config and of a sample of every tensor. */
export function weightsFingerprint(config: ModelConfig, weights: Weights): string {
  const hash = createHash('sha256').update(JSON.stringify(config));
  const files = new Map<string, number>();
  const open = (file: string): number => {
    const fd = files.get(file) ?? openSync(file, 'r');
    files.set(file, fd);
    return fd;
  };
  try {
    for (const tensor of allTensors(weights)) {
      const sample = Buffer.alloc(Math.min(SAMPLE_BYTES, tensor.numBytes));
      readSync(open(tensor.file), sample, 0, sample.length, tensor.offset + Math.floor((tensor.numBytes - sample.length) / 2));
      hash.update(JSON.stringify([tensor.name, tensor.dtype, tensor.shape])).update(sample);
    }
  } finally {
    for (const fd of files.values()) closeSync(fd);
  }
  return hash.digest('hex');
}
