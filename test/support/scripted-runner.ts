/**
 * A ModelRunner without a model. It keeps the KV cache as the real one does (rows and pool blocks that change only by kvOps and steps),
 * but a position's key and value is a cell: its token and a hash of everything before it. Logits are a hash of the row's content, so a wrong
 * copy, move, reuse or position changes the text; and each step asserts that the row holds exactly what the engine claims.
 */
import assert from 'node:assert/strict';
import type { ModelRunner, StepTicket } from '../../src/engine/runner/model-runner.ts';
import type { BlockLocation, KvOp, SequenceResult, StepInput, StepOutput, StepSequence } from '../../src/engine/step.ts';

interface Cell {
  readonly token: number;
  /** Of all tokens up to and including this one. */
  readonly state: number;
}

export interface ScriptedRunnerOptions {
  readonly vocabSize?: number;
  readonly maxNumSeqs?: number;
  readonly maxModelLen?: number;
  readonly blockSize?: number;
  /** The budget: after each step no more blocks may be resident in rows and pool. */
  readonly numBlocks?: number;
  readonly canCopyBlocks?: boolean;
  /** The token that shall be the best one after these; undefined = what the hash says. */
  readonly nextToken?: (tokenIds: readonly number[]) => number | undefined;
  /** Changes the logits of a position before they are returned. */
  readonly editLogits?: (logits: Float32Array, tokenIds: readonly number[]) => void;
  /** Called at the start of each submit, e.g. to let time pass. */
  readonly onSubmit?: (step: StepInput) => void;
}

export class ScriptedRunner implements ModelRunner {
  readonly vocabSize: number;
  readonly bytesPerBlock = 1024;
  readonly canCopyBlocks: boolean;
  readonly maxInFlight = 1;
  /** Every step so far, oldest first. */
  readonly steps: StepInput[] = [];

  readonly #options: ScriptedRunnerOptions;
  readonly #blockSize: number;
  readonly #numBlocks: number;
  readonly #maxModelLen: number;
  readonly #rows: Cell[][];
  readonly #pool = new Map<number, readonly Cell[]>();
  #output: StepOutput | null = null;

  constructor(options: ScriptedRunnerOptions = {}) {
    this.#options = options;
    this.vocabSize = options.vocabSize ?? 32;
    this.canCopyBlocks = options.canCopyBlocks ?? true;
    this.#blockSize = options.blockSize ?? 4;
    this.#numBlocks = options.numBlocks ?? Number.POSITIVE_INFINITY;
    this.#maxModelLen = options.maxModelLen ?? 256;
    this.#rows = Array.from({ length: options.maxNumSeqs ?? 4 }, () => []);
  }

  /** Blocks that hold something: in rows, rounded up, and in the pool. */
  get numResidentBlocks(): number {
    return this.#rows.reduce((sum, row) => sum + Math.ceil(row.length / this.#blockSize), this.#pool.size);
  }

  /** Tokens whose keys and values are in a row. */
  rowTokens(slot: number): number[] {
    return this.#rows[slot]!.map((cell) => cell.token);
  }

  /** The hidden state after these tokens: a hash of them, and their number. */
  hiddenOf(tokenIds: readonly number[]): Float32Array {
    return Float32Array.of(tokenIds.reduce(fold, 0) / 2 ** 32, tokenIds.length);
  }

  submit(step: StepInput): StepTicket {
    this.#options.onSubmit?.(step);
    assert.equal(this.#output, null, 'a step was submitted before the last one was collected');
    assert.equal(step.stepId, (this.steps.at(-1)?.stepId ?? 0) + 1, 'step ids are contiguous from 1');
    this.steps.push(step);
    for (const op of step.kvOps) this.#apply(op);
    assert.equal(new Set(step.sequences.map((sequence) => sequence.slot)).size, step.sequences.length, 'a row is twice in one step');
    let start = 0;
    const results: SequenceResult[] = [];
    for (const sequence of step.sequences) {
      assert.equal(sequence.start, start, 'tokens of the step are packed');
      start += sequence.numTokens;
      const result = this.#compute(sequence, step.tokenIds);
      results.push(
        step.wantsHidden && result.type === 'full' ? { ...result, hidden: this.hiddenOf(this.rowTokens(sequence.slot)) } : result,
      );
    }
    assert.equal(step.tokenIds.length, start, 'every token of the step belongs to a sequence');
    assert.ok(this.numResidentBlocks <= this.#numBlocks, `${this.numResidentBlocks} blocks are resident, the budget is ${this.#numBlocks}`);
    this.#output = { stepId: step.stepId, results };
    return { stepId: step.stepId };
  }

  collect(ticket: StepTicket): StepOutput {
    const output = this.#output;
    assert.ok(output && output.stepId === ticket.stepId, `step ${ticket.stepId} was not submitted`);
    this.#output = null;
    return output;
  }

  close(): void {}

  #apply(op: KvOp): void {
    switch (op.type) {
      case 'copyBlocks':
        assert.ok(this.canCopyBlocks);
        for (const { from, to } of op.copies) this.#write(to, this.#read(from));
        return;
      case 'moveRow':
        assert.ok(this.canCopyBlocks);
        assert.equal(this.#row(op.from).length, op.numTokens, `row ${op.from} holds what is moved`);
        assert.equal(this.#row(op.to).length, 0, `row ${op.to} is empty before a move`);
        this.#rows[op.to] = this.#row(op.from);
        this.#rows[op.from] = [];
        return;
      case 'release':
        this.#row(op.slot).length = 0;
        return;
      case 'releaseBlocks':
        for (const id of op.blockIds) assert.ok(this.#pool.delete(id), `pool block ${id} is released but holds nothing`);
        return;
      default:
        assert.fail(`unknown op ${JSON.stringify(op satisfies never)}`);
    }
  }

  #read(from: BlockLocation): readonly Cell[] {
    if (from.type === 'pool') {
      const cells = this.#pool.get(from.blockId);
      assert.ok(cells, `pool block ${from.blockId} is copied but holds nothing`);
      return cells;
    }
    const start = from.blockIndex * this.#blockSize;
    const cells = this.#row(from.slot).slice(start, start + this.#blockSize);
    assert.equal(cells.length, this.#blockSize, `block ${from.blockIndex} of row ${from.slot} is copied but not full`);
    return cells;
  }

  #write(to: BlockLocation, cells: readonly Cell[]): void {
    if (to.type === 'pool') {
      this.#pool.set(to.blockId, cells);
      return;
    }
    const row = this.#row(to.slot);
    assert.equal(row.length, to.blockIndex * this.#blockSize, `block ${to.blockIndex} of row ${to.slot} is written in order`);
    row.push(...cells);
  }

  #compute(sequence: StepSequence, tokenIds: Int32Array): SequenceResult {
    const row = this.#row(sequence.slot);
    assert.ok(sequence.numTokens > 0, `row ${sequence.slot} is in the step with no tokens`);
    // A token that could not be followed by a choice is computed once more.
    if (row.length === sequence.numComputed + 1 && row.at(-1)!.token === tokenIds[sequence.start]) row.pop();
    assert.equal(row.length, sequence.numComputed, `tokens in row ${sequence.slot}`);
    for (let i = 0; i < row.length; i++) {
      const isRight = row[i]!.state === fold(row[i - 1]?.state ?? 0, row[i]!.token);
      if (!isRight) assert.fail(`position ${i} of row ${sequence.slot} was computed after other tokens`);
    }
    for (let i = 0; i < sequence.numTokens; i++) {
      const token = tokenIds[sequence.start + i]!;
      assert.ok(token >= 0 && token < this.vocabSize, `token ${token}`);
      row.push({ token, state: fold(row.at(-1)?.state ?? 0, token) });
    }
    assert.ok(row.length <= this.#maxModelLen, `row ${sequence.slot} is ${row.length} long`);
    if (sequence.needs === 'none') return { type: 'none' };
    assert.ok(sequence.numLogits >= 1 && sequence.numLogits <= sequence.numTokens, `${sequence.numLogits} rows of logits`);
    const logits = this.#lastLogits(row, sequence.numLogits);
    if (sequence.needs === 'full') return { type: 'full', logits };
    assert.equal(sequence.numLogits, 1);
    assert.equal(sequence.needs, 'argmax');
    return { type: 'argmax', tokenIds: Int32Array.of(logits.indexOf(Math.max(...logits))) };
  }

  /** [count, vocabSize]: of the last positions. */
  #lastLogits(row: readonly Cell[], count: number): Float32Array {
    const all = new Float32Array(count * this.vocabSize);
    for (let i = 0; i < count; i++) all.set(this.#logits(row.slice(0, row.length - count + 1 + i)), i * this.vocabSize);
    return all;
  }

  /** What follows these tokens. */
  logitsAfter(tokenIds: readonly number[]): Float32Array {
    const row: Cell[] = [];
    for (const token of tokenIds) row.push({ token, state: fold(row.at(-1)?.state ?? 0, token) });
    return this.#logits(row);
  }

  #logits(row: readonly Cell[]): Float32Array {
    const { nextToken, editLogits } = this.#options;
    const tokens = row.map((cell) => cell.token);
    const state = row.at(-1)!.state;
    const logits = new Float32Array(this.vocabSize);
    for (let id = 0; id < logits.length; id++) logits[id] = (fold(state, id) / 2 ** 32) * 8 - 4;
    const best = nextToken?.(tokens);
    if (best !== undefined) logits[best] = 100;
    editLogits?.(logits, tokens);
    return logits;
  }

  #row(slot: number): Cell[] {
    const row = this.#rows[slot];
    assert.ok(row, `row ${slot} does not exist`);
    return row;
  }
}

/** A hash of 32 bits over a chain of tokens (the finaliser of MurmurHash3). */
function fold(state: number, token: number): number {
  let hash = (Math.imul(state, 31) + token + 0x9e3779b9) | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
