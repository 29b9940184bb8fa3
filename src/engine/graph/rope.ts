/**
 * The tables of cosines and sines for rotary positions. Frequencies and angles are rounded to float32 where transformers does,
 * so that far positions rotate by the same angle.
 */
import type { RopeConfig, RopeScaling } from '../../checkpoint/model-config.ts';

export interface RopeTables {
  /** [numPositions, width], row-major; columns beyond headDim / 2 turn nothing (cos 1, sin 0). */
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/** `width` ≥ headDim / 2 columns: the rest is for heads padded to what the kernels take. */
export function ropeTables(rope: RopeConfig, headDim: number, numPositions: number, width: number): RopeTables {
  const frequencies = inverseFrequencies(rope, headDim);
  const amplitude = rope.scaling.type === 'yarn' ? rope.scaling.attentionFactor : 1;
  const cos = new Float32Array(numPositions * width).fill(1);
  const sin = new Float32Array(numPositions * width);
  for (let position = 0; position < numPositions; position++) {
    for (let i = 0; i < frequencies.length; i++) {
      const angle = Math.fround(position * frequencies[i]!);
      cos[position * width + i] = Math.cos(angle) * amplitude;
      sin[position * width + i] = Math.sin(angle) * amplitude;
    }
  }
  return { cos, sin };
}

/** Radians per position of each pair of dimensions: [headDim / 2]. */
export function inverseFrequencies(rope: RopeConfig, headDim: number): Float32Array {
  const plain = Float32Array.from({ length: headDim / 2 }, (_, i) => 1 / Math.fround(rope.theta ** Math.fround((2 * i) / headDim)));
  return scaleFrequencies(plain, rope.scaling, rope.theta, headDim);
}

function scaleFrequencies(plain: Float32Array, scaling: RopeScaling, theta: number, headDim: number): Float32Array {
  switch (scaling.type) {
    case 'none':
      return plain;
    case 'linear':
      return plain.map((frequency) => frequency / scaling.factor);
    case 'llama3':
      return plain.map((frequency) => llama3Frequency(frequency, scaling));
    case 'yarn': {
      const { low, high } = yarnRamp(scaling, theta, headDim);
      return plain.map((frequency, i) => {
        const interpolated = Math.min(1, Math.max(0, (i - low) / (high - low)));
        return (frequency / scaling.factor) * interpolated + frequency * (1 - interpolated);
      });
    }
    default:
      return scaling satisfies never;
  }
}

/** Long wavelengths are stretched by `factor`, short ones stay, those between are blended. */
function llama3Frequency(frequency: number, scaling: Extract<RopeScaling, { type: 'llama3' }>): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < originalMaxPositionEmbeddings / highFreqFactor) return frequency;
  if (wavelength > originalMaxPositionEmbeddings / lowFreqFactor) return frequency / factor;
  const smooth = (originalMaxPositionEmbeddings / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** The pairs between which YaRN goes from keeping a frequency to dividing it by `factor`. */
function yarnRamp(scaling: Extract<RopeScaling, { type: 'yarn' }>, theta: number, headDim: number): { low: number; high: number } {
  const pairWithRotations = (rotations: number): number =>
    (headDim * Math.log(scaling.originalMaxPositionEmbeddings / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const first = pairWithRotations(scaling.betaFast);
  const last = pairWithRotations(scaling.betaSlow);
  const low = Math.max(0, scaling.truncate ? Math.floor(first) : first);
  const high = Math.min(headDim - 1, scaling.truncate ? Math.ceil(last) : last);
  return { low, high: high === low ? high + 0.001 : high };
}
