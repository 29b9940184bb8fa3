/**
 * What the weights are, in a few bytes: equal wherever the same model lies, whatever its files are called and when they were written.
 * Reading every weight at every start would take seconds for each GB, so each tensor is sampled at fixed places, both ends among them;
 * small ones (norms, biases) are read whole. Training changes every number of a matrix, so another model differs in any sample; only a
 * few numbers edited by hand, in the gaps, would not be noticed.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import type { ModelConfig } from './model-config.ts';
import type { StoredTensor } from './safetensors.ts';
import { allTensors, type Weights } from './weights.ts';

const SAMPLES_PER_TENSOR = 16;
const SAMPLE_BYTES = 4096;

/** A hash of the config and of each tensor's name, type, shape and sampled bytes. */
export function weightsFingerprint(config: ModelConfig, weights: Weights): string {
  const hash = createHash('sha256').update(JSON.stringify(config));
  const files = new Map<string, number>();
  const buffer = Buffer.alloc(SAMPLES_PER_TENSOR * SAMPLE_BYTES);
  try {
    for (const tensor of allTensors(weights)) {
      const fd = files.get(tensor.file) ?? openSync(tensor.file, 'r');
      files.set(tensor.file, fd);
      hash.update(JSON.stringify([tensor.name, tensor.dtype, tensor.shape]));
      for (const { offset, length } of samplesOf(tensor)) {
        hash.update(buffer.subarray(0, readSync(fd, buffer, 0, length, tensor.offset + offset)));
      }
    }
  } finally {
    for (const fd of files.values()) closeSync(fd);
  }
  return hash.digest('hex');
}

/** The whole of a small tensor; of a large one samples at equal distances, from its first byte to its last. */
function samplesOf({ numBytes }: StoredTensor): { readonly offset: number; readonly length: number }[] {
  if (numBytes <= SAMPLES_PER_TENSOR * SAMPLE_BYTES) return [{ offset: 0, length: numBytes }];
  const distance = (numBytes - SAMPLE_BYTES) / (SAMPLES_PER_TENSOR - 1);
  return Array.from({ length: SAMPLES_PER_TENSOR }, (_, i) => ({ offset: Math.floor(i * distance), length: SAMPLE_BYTES }));
}
