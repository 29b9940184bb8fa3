/** One run for all sequences of a step that compute a single token. Everything native is made once per batch size. */
import type { StepSequence } from '../step.ts';
import { GraphIo, type GraphNames, graphNames, INPUT, OUTPUT } from './graph-io.ts';
import type { KvCache } from './kv-cache.ts';
import { type LogitsBuffer, numLogitsOf } from './logits-buffer.ts';
import type { Handle } from './ort-api.ts';
import type { OrtSession } from './ort-session.ts';

export class DecodeBatch {
  readonly #session: OrtSession;
  readonly #cache: KvCache;
  readonly #logits: LogitsBuffer;
  readonly #names: GraphNames;
  readonly #ids: Int32Array;
  readonly #seqlens: Int32Array;
  readonly #logitRows: Int32Array;
  readonly #totalLength = new Int32Array(1);
  readonly #totalLengthTensor: Handle;
  /** By batch size. */
  readonly #ios: GraphIo[] = [];
  /** By number of logit rows. */
  readonly #logitRowTensors: Handle[] = [];

  constructor(session: OrtSession, cache: KvCache, logits: LogitsBuffer) {
    const { maxNumSeqs, numLayers } = cache.shape;
    this.#session = session;
    this.#cache = cache;
    this.#logits = logits;
    this.#names = graphNames(numLayers);
    this.#ids = new Int32Array(maxNumSeqs);
    this.#seqlens = new Int32Array(maxNumSeqs);
    this.#logitRows = new Int32Array(maxNumSeqs);
    this.#totalLengthTensor = session.tensorOver(this.#totalLength, 0, [1]);
  }

  /** Runs them, in the step's order; their logits fill the buffer's first rows. Returns how many rows that are. */
  run(sequences: readonly StepSequence[], tokenIds: Int32Array, wantsHidden: boolean): number {
    if (sequences.length === 0) return 0;
    let batchSize = 0;
    for (const { slot } of sequences) if (slot >= batchSize) batchSize = slot + 1;
    for (let slot = 0; slot < batchSize; slot++) {
      this.#ids[slot] = 0;
      this.#seqlens[slot] = this.#cache.computedTokens(slot);
    }
    let numRows = 0;
    for (const sequence of sequences) {
      this.#ids[sequence.slot] = tokenIds[sequence.start]!;
      this.#seqlens[sequence.slot] = sequence.numComputed;
      this.#cache.advance(sequence.slot, sequence.numComputed + 1);
      if (numLogitsOf(sequence) > 0) this.#logitRows[numRows++] = sequence.slot;
    }
    let longest = 0;
    for (let slot = 0; slot < batchSize; slot++) if (this.#seqlens[slot]! > longest) longest = this.#seqlens[slot]!;
    this.#totalLength[0] = longest + 1;
    this.#runBatch(batchSize, numRows, wantsHidden);
    return numRows;
  }

  close(): void {
    for (const io of this.#ios) io?.close();
    for (const tensor of this.#logitRowTensors) if (tensor !== undefined) this.#session.releaseTensor(tensor);
    this.#session.releaseTensor(this.#totalLengthTensor);
  }

  #runBatch(batchSize: number, numRows: number, wantsHidden: boolean): void {
    this.#ios[batchSize] ??= this.#createIo(batchSize);
    const io = this.#ios[batchSize];
    const numTaken = Math.max(1, numRows); // the graph computes at least one row of logits
    this.#logitRowTensors[numTaken] ??= this.#session.tensorOver(this.#logitRows, 0, [numTaken]);
    const { logits, hidden } = this.#logits.leadingTensors(numTaken);
    io.inputs[INPUT.logitRows] = this.#logitRowTensors[numTaken];
    io.outputs[OUTPUT.logits] = logits;
    io.outputs[OUTPUT.hidden] = hidden;
    io.run(wantsHidden);
  }

  #createIo(batchSize: number): GraphIo {
    const io = new GraphIo(this.#session, this.#names, this.#cache, 0, batchSize);
    io.inputs[INPUT.ids] = io.own(this.#session.tensorOver(this.#ids, 0, [batchSize, 1]));
    io.inputs[INPUT.seqlens] = io.own(this.#session.tensorOver(this.#seqlens, 0, [batchSize]));
    io.inputs[INPUT.totalLength] = this.#totalLengthTensor;
    return io;
  }
}
