/** The graph's input and output values in the order that every run passes them. */
import { TENSORS } from '../graph/decoder.ts';
import type { KvCache } from './kv-cache.ts';
import { type Handle, nativeStrings } from './ort-api.ts';
import type { NativeNames, OrtSession } from './ort-session.ts';

/** Positions in GraphIo.inputs and .outputs; keys and values follow. */
export const INPUT = { ids: 0, seqlens: 1, totalLength: 2, logitRows: 3, cache: 4 } as const;
export const OUTPUT = { hidden: 0, logits: 1, cache: 2 } as const;

/** Handles for one shape of run. The same cache value is input and output: attention writes in place. */
export class GraphIo {
  readonly inputs: BigUint64Array;
  readonly outputs: BigUint64Array;
  readonly #outputsWithoutHidden: BigUint64Array;
  readonly #names: GraphNames;
  readonly #session: OrtSession;
  readonly #owned: Handle[] = [];

  /** Over rows `slot` … `slot + numRows - 1` of the cache. */
  constructor(session: OrtSession, names: GraphNames, cache: KvCache, slot: number, numRows: number) {
    const { numLayers } = cache.shape;
    this.#session = session;
    this.#names = names;
    this.inputs = new BigUint64Array(INPUT.cache + 2 * numLayers);
    this.outputs = new BigUint64Array(OUTPUT.cache + 2 * numLayers);
    this.#outputsWithoutHidden = this.outputs.subarray(1);
    for (let layer = 0; layer < numLayers; layer++) {
      for (const part of [0, 1] as const) {
        const tensor = this.own(cache.createRowsTensor(session, layer, part, slot, numRows));
        this.inputs[INPUT.cache + 2 * layer + part] = tensor;
        this.outputs[OUTPUT.cache + 2 * layer + part] = tensor;
      }
    }
  }

  /** Releases `tensor` together with this. */
  own(tensor: Handle): Handle {
    this.#owned.push(tensor);
    return tensor;
  }

  run(wantsHidden: boolean): void {
    const { inputs, outputs, outputsWithoutHidden } = this.#names;
    if (wantsHidden) this.#session.run(inputs, this.inputs, outputs, this.outputs);
    else this.#session.run(inputs, this.inputs, outputsWithoutHidden, this.#outputsWithoutHidden);
  }

  close(): void {
    for (const tensor of this.#owned) this.#session.releaseTensor(tensor);
  }
}

export interface GraphNames {
  readonly inputs: NativeNames;
  readonly outputs: NativeNames;
  readonly outputsWithoutHidden: NativeNames;
}

export function graphNames(numLayers: number): GraphNames {
  const layers = Array.from({ length: numLayers }, (_, layer) => layer);
  const past = layers.flatMap((layer) => [TENSORS.pastKey(layer), TENSORS.pastValue(layer)]);
  const present = layers.flatMap((layer) => [TENSORS.presentKey(layer), TENSORS.presentValue(layer)]);
  return {
    inputs: nativeStrings([TENSORS.inputIds, TENSORS.seqlens, TENSORS.totalLength, TENSORS.logitRows, ...past]),
    outputs: nativeStrings([TENSORS.hidden, TENSORS.logits, ...present]),
    outputsWithoutHidden: nativeStrings([TENSORS.logits, ...present]),
  };
}
