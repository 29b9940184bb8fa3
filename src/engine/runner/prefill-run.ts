/** The prefill of one sequence's chunk, on a view of its row. */
import type { StepSequence } from '../step.ts';
import { GraphIo, type GraphNames, graphNames, INPUT, OUTPUT } from './graph-io.ts';
import type { KvCache } from './kv-cache.ts';
import { type LogitsBuffer, numLogitsOf } from './logits-buffer.ts';
import type { OrtSession } from './ort-session.ts';

export class PrefillRun {
  readonly #session: OrtSession;
  readonly #cache: KvCache;
  readonly #logits: LogitsBuffer;
  readonly #names: GraphNames;
  readonly #maxTokens: number;
  readonly #ids: Int32Array;
  readonly #logitRows: Int32Array;
  readonly #seqlens = new Int32Array(1);
  readonly #totalLength = new Int32Array(1);
  /** By row of the cache. */
  readonly #ios: GraphIo[] = [];

  constructor(session: OrtSession, cache: KvCache, logits: LogitsBuffer, maxTokens: number) {
    this.#session = session;
    this.#cache = cache;
    this.#logits = logits;
    this.#names = graphNames(cache.shape.numLayers);
    this.#maxTokens = maxTokens;
    this.#ids = new Int32Array(maxTokens);
    this.#logitRows = new Int32Array(maxTokens);
  }

  /** Runs the chunk, cut where it is long; the logits of its last positions go to the buffer's rows from `firstRow` on. */
  run(sequence: StepSequence, tokenIds: Int32Array, firstRow: number, wantsHidden: boolean): void {
    const { numTokens, numComputed, slot } = sequence;
    const firstWanted = numTokens - numLogitsOf(sequence);
    for (let begin = 0; begin < numTokens; begin += this.#maxTokens) {
      const end = Math.min(numTokens, begin + this.#maxTokens);
      this.#ids.set(tokenIds.subarray(sequence.start + begin, sequence.start + end));
      this.#seqlens[0] = numComputed + end - 1;
      this.#totalLength[0] = numComputed + end;
      this.#cache.advance(slot, numComputed + end);
      const from = Math.max(begin, firstWanted);
      this.#runPiece(slot, end - begin, from - begin, firstRow + from - firstWanted, wantsHidden);
    }
  }

  close(): void {
    for (const io of this.#ios) io?.close();
  }

  /** `numTokens` are in place; the logits of those from index `firstWanted` on go to `row`. */
  #runPiece(slot: number, numTokens: number, firstWanted: number, row: number, wantsHidden: boolean): void {
    this.#ios[slot] ??= this.#createIo(slot);
    const io = this.#ios[slot];
    const numWanted = Math.max(0, numTokens - firstWanted);
    const numTaken = Math.max(1, numWanted); // the graph computes at least one row of logits
    const target = numWanted > 0 ? row : this.#logits.spareRow;
    for (let i = 0; i < numTaken; i++) this.#logitRows[i] = numTokens - numTaken + i;
    const ids = this.#session.tensorOver(this.#ids, 0, [1, numTokens]);
    const logitRows = this.#session.tensorOver(this.#logitRows, 0, [numTaken]);
    const logits = this.#logits.logitsTensor(target, numTaken);
    const hidden = this.#logits.hiddenTensor(target, numTaken);
    io.inputs[INPUT.ids] = ids;
    io.inputs[INPUT.logitRows] = logitRows;
    io.outputs[OUTPUT.logits] = logits;
    io.outputs[OUTPUT.hidden] = hidden;
    try {
      io.run(wantsHidden);
    } finally {
      for (const tensor of [ids, logitRows, logits, hidden]) this.#session.releaseTensor(tensor);
    }
  }

  #createIo(slot: number): GraphIo {
    const io = new GraphIo(this.#session, this.#names, this.#cache, slot, 1);
    io.inputs[INPUT.seqlens] = io.own(this.#session.tensorOver(this.#seqlens, 0, [1]));
    io.inputs[INPUT.totalLength] = io.own(this.#session.tensorOver(this.#totalLength, 0, [1]));
    return io;
  }
}
