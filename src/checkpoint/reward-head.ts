/**
 * What turns a hidden state into scores, in checkpoints that have it: `score` as transformers' …ForSequenceClassification writes it, with
 * or without bias, or `score.0`, ReLU, `score.2` as Qwen2ForRewardModel does.
 */
import { StartupError } from '../core/errors.ts';
import { readTensorDirectory, type TensorDirectory } from './safetensors.ts';
import { readFloat32 } from './weights.ts';

/** [hiddenSize] → [number of labels] */
export type RewardHead = (hidden: Float32Array) => Float32Array;

const SINGLE = ['score', 'reward_head', 'classifier'] as const;
const DOUBLE = ['score.0', 'score.2'] as const;

interface Layer {
  /** [numOut, numIn], row-major. */
  readonly weight: Float32Array;
  readonly bias: Float32Array | null;
  readonly numOut: number;
  readonly numIn: number;
}

/** Null where the checkpoint has none. @throws StartupError naming the tensor whose shape cannot be. */
export function readRewardHead(dir: string, hiddenSize: number): RewardHead | null {
  const directory = readTensorDirectory(dir);
  const isDouble = DOUBLE.every((name) => directory.has(`${name}.weight`));
  const names = isDouble ? DOUBLE : SINGLE.filter((name) => directory.has(`${name}.weight`)).slice(0, 1);
  if (names.length === 0) return null;
  let numIn = hiddenSize;
  const layers = names.map((name) => {
    const layer = readLayer(directory, name, numIn);
    numIn = layer.numOut;
    return layer;
  });
  return (hidden) =>
    layers.reduce((values, layer, i) => apply(layer, i === 0 ? values : values.map((value) => Math.max(0, value))), hidden);
}

function readLayer(directory: TensorDirectory, name: string, numIn: number): Layer {
  const weight = directory.get(`${name}.weight`)!;
  const bias = directory.get(`${name}.bias`) ?? null;
  const [numOut = 0, width] = weight.shape;
  if (weight.shape.length !== 2 || width !== numIn || (bias !== null && bias.shape.join() !== String(numOut))) {
    throw new StartupError(`${weight.file}: tensor ${name}.weight has shape [${weight.shape.join(', ')}], expected [labels, ${numIn}]`);
  }
  return { weight: readFloat32(weight), bias: bias === null ? null : readFloat32(bias), numOut, numIn };
}

function apply({ weight, bias, numOut, numIn }: Layer, values: Float32Array): Float32Array {
  const result = new Float32Array(numOut);
  for (let row = 0; row < numOut; row++) {
    let sum = bias?.[row] ?? 0;
    for (let i = 0; i < numIn; i++) sum += weight[row * numIn + i]! * values[i]!;
    result[row] = sum;
  }
  return result;
}
