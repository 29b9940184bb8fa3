/**
 * Decides what each step computes. It counts tokens, not phases: every running sequence has tokens and computed tokens, and a step has a
 * budget of tokens.
 *
 *   1. Decode: each running sequence that misses one token gets it, even where that alone exceeds the budget.
 *   2. Prefill: running sequences that miss more share what is left of the budget (at least 1 token, so that prefill never starves).
 *   3. Admission: waiting sequences get rows, in order, requests with fewer rows first; the first that does not fit stops the rest.
 *   4. Compaction of the rows.
 *
 * Both lists are sorted by compareSequences. Blocks are claimed as a row grows. When none are left, a sequence preempts the last running
 * one behind it: blocks to the prefix cache, row released, back to its old place among the waiting, which is the head of its priority.
 * A sequence with nobody behind it keeps its blocks and sits the step out; the first in order can always go on, so the engine does too.
 * Only a sequence whose grammar mask is late, or whose reader does not keep up, is left out of steps meanwhile, wherever it stands.
 */
import { assert } from '../core/errors.ts';
import type { KvCache } from './kv/kv-cache.ts';
import { compareSequences, insertInOrder, type Sequence } from './sequence.ts';

/** A sequence keeps its row for so many tokens at least: giving it up costs a prefill later. */
const MIN_TURN_TOKENS = 32;

export interface SchedulerOptions {
  readonly kv: KvCache;
  readonly maxNumBatchedTokens: number;
  /** False: a prompt is computed whole in one step, alone if it is longer than the budget. */
  readonly enableChunkedPrefill: boolean;
}

export class Scheduler {
  readonly running: Sequence[] = [];
  readonly waiting: Sequence[] = [];
  numPreemptions = 0;

  readonly #kv: KvCache;
  readonly #maxNumBatchedTokens: number;
  readonly #enableChunkedPrefill: boolean;
  /** The step that is being put together. */
  #scheduled: Sequence[] = [];
  #numPrefillTokens = 0;
  #prefillBudget = 0;
  /** Rows of logits that the step reads for log-probabilities of prompts: their number bounds its memory and time. */
  #numPromptRows = 0;

  constructor(options: SchedulerOptions) {
    this.#kv = options.kv;
    this.#maxNumBatchedTokens = options.maxNumBatchedTokens;
    this.#enableChunkedPrefill = options.enableChunkedPrefill;
  }

  /** Queues a sequence; the index is the number of sequences ahead of it. */
  add(sequence: Sequence): number {
    return insertInOrder(this.waiting, sequence);
  }

  /**
   * Sequences of the next step, each with `numScheduled` set. Decisions about the KV cache are on kv's list of operations.
   */
  schedule(): readonly Sequence[] {
    this.#scheduled = [];
    this.#numPrefillTokens = 0;
    this.#numPromptRows = 0;
    this.#shareRows();
    const numPreemptionsBefore = this.numPreemptions;
    this.#scheduleDecodes();
    this.#prefillBudget = Math.max(this.#maxNumBatchedTokens - this.#scheduled.length, 1);
    this.#schedulePrefills();
    if (this.numPreemptions === numPreemptionsBefore) this.#admitWaiting();
    this.#kv.compact();
    return this.#scheduled;
  }

  /** Ends a sequence wherever it is and gives back what it holds; `keep` its full blocks for others unless they cannot be trusted. */
  finish(sequence: Sequence, keep: boolean): void {
    if (sequence.state === 'running') {
      remove(this.running, sequence);
      this.#kv.release(sequence, keep);
    } else if (sequence.state === 'waiting') {
      remove(this.waiting, sequence);
    }
    sequence.state = 'finished';
  }

  /** Takes its row and blocks back; it waits at its place until it may run. */
  park(sequence: Sequence): void {
    if (sequence.state !== 'running') return;
    remove(this.running, sequence);
    this.#kv.release(sequence, true);
    sequence.state = 'waiting';
    insertInOrder(this.waiting, sequence);
  }

  #scheduleDecodes(): void {
    // By index: preemption takes sequences from the end of the list, behind the one that is looked at.
    for (let i = 0; i < this.running.length; i++) {
      const sequence = this.running[i]!;
      if (sequence.numUncomputed === 1 && !sequence.isHeldUp && this.#claim(sequence, sequence.numTokens)) this.#schedule(sequence, 1);
    }
  }

  #schedulePrefills(): void {
    for (let i = 0; i < this.running.length && this.#hasPrefillBudget; i++) {
      const sequence = this.running[i]!;
      if (sequence.numUncomputed === 1 || sequence.numScheduled > 0 || sequence.isHeldUp) continue;
      const numTokens = this.#chunkOf(sequence, sequence.numUncomputed);
      if (numTokens > 0 && this.#claim(sequence, sequence.numComputed + numTokens)) this.#schedulePrefill(sequence, numTokens);
    }
  }

  #admitWaiting(): void {
    for (let next = 0; next < this.waiting.length && this.#hasPrefillBudget && this.#kv.numFreeRows > 0; ) {
      const i = this.#fairest(next);
      const sequence = this.waiting[i]!;
      if (!this.#mayStart(sequence)) {
        next++;
        continue;
      }
      const numTokens = this.#chunkOf(sequence, sequence.numTokens - this.#kv.matchedTokens(sequence));
      if (numTokens <= 0 || !this.#hasBlocksFor(sequence)) return;
      this.waiting.splice(i, 1);
      this.#admit(sequence);
      assert(
        this.#kv.reserve(sequence, sequence.numComputed + numTokens),
        `no blocks for ${sequence.request.key} right after they were counted`,
      );
      this.#schedulePrefill(sequence, numTokens);
    }
  }

  #admit(sequence: Sequence): void {
    this.#kv.admit(sequence);
    sequence.numCachedAtStart ??= sequence.numComputed;
    sequence.state = 'running';
    sequence.numTokensAtAdmission = sequence.numTokens;
    insertInOrder(this.running, sequence);
  }

  /**
   * When all rows are taken and a request waits that has fewer than another, by two or more: the other gives up its last row, once that has
   * made some tokens. A request with hundreds of endless choices keeps nobody waiting.
   */
  #shareRows(): void {
    if (this.#kv.numFreeRows > 0 || this.waiting.length === 0) return;
    const first = this.waiting[this.#fairest(this.waiting.findIndex((sequence) => this.#mayStart(sequence)))];
    if (!first) return;
    const enough = this.#rowsOf(first) + 2;
    const victim = this.running.findLast(
      (sequence) =>
        !isBefore(sequence, first) &&
        sequence.numTokens - sequence.numTokensAtAdmission >= MIN_TURN_TOKENS &&
        this.#rowsOf(sequence) >= enough,
    );
    if (!victim) return;
    this.park(victim);
    this.numPreemptions++;
  }

  /** From `from` on, the first of those that stand equal with it whose request has the fewest rows. */
  #fairest(from: number): number {
    const head = this.waiting[from];
    if (!head || !this.#mayStart(head)) return from;
    let best = from;
    let numRows = this.#rowsOf(head);
    for (let i = from + 1; i < this.waiting.length && numRows > 0; i++) {
      const sequence = this.waiting[i]!;
      if (isBefore(head, sequence)) break;
      if (!this.#mayStart(sequence) || this.#rowsOf(sequence) >= numRows) continue;
      best = i;
      numRows = this.#rowsOf(sequence);
    }
    return best;
  }

  #mayStart(sequence: Sequence): boolean {
    return sequence.flow === 'running' && !(this.#kv.sharesPrefixes && sequence.waitsForLeader);
  }

  #rowsOf({ request }: Sequence): number {
    let numRows = 0;
    for (const sequence of this.running) if (sequence.request === request) numRows++;
    return numRows;
  }

  /** Room for all its tokens, beside what running prefills still need and one spare block for each running sequence to grow into. */
  #hasBlocksFor(sequence: Sequence): boolean {
    if (this.running.length === 0) return true;
    let numPromised = this.running.length;
    for (const other of this.running) numPromised += this.#kv.blocksFor(other.numTokens) - other.numBlocks;
    return this.#kv.blocksFor(sequence.numTokens) + numPromised <= this.#kv.numAvailableBlocks;
  }

  /** Grows the sequence's row to `numTokens`, preempting from the end of the running list. False: it has to sit this step out. */
  #claim(sequence: Sequence, numTokens: number): boolean {
    while (!this.#kv.reserve(sequence, numTokens)) {
      const last = this.running[this.running.length - 1]!;
      assert(
        this.running.length > 1,
        `${numTokens} tokens of ${sequence.request.key} do not fit ${this.#kv.numBlocks} blocks of ${this.#kv.blockSize}`,
      );
      if (compareSequences(last, sequence) <= 0) return false;
      this.#preempt(last);
    }
    return true;
  }

  #preempt(sequence: Sequence): void {
    if (sequence.numScheduled > 0) remove(this.#scheduled, sequence);
    sequence.numScheduled = 0;
    this.running.pop();
    this.#kv.release(sequence, true);
    sequence.state = 'waiting';
    insertInOrder(this.waiting, sequence);
    this.numPreemptions++;
  }

  get #hasPrefillBudget(): boolean {
    return this.#numPrefillTokens < this.#prefillBudget;
  }

  /** How many of `numUncomputed` prompt tokens this step takes; 0 = a prompt that must be whole waits for a step of its own. */
  #chunkOf(sequence: Sequence, numUncomputed: number): number {
    const numTokens = this.#chunkWithin(this.#prefillBudget - this.#numPrefillTokens, numUncomputed);
    return sequence.needsPromptLogprobs ? Math.min(numTokens, sequence.maxPromptRows - this.#numPromptRows) : numTokens;
  }

  #chunkWithin(numLeft: number, numUncomputed: number): number {
    if (numUncomputed <= numLeft) return numUncomputed;
    if (this.#enableChunkedPrefill) return numLeft;
    return this.#numPrefillTokens === 0 ? numUncomputed : 0;
  }

  #schedulePrefill(sequence: Sequence, numTokens: number): void {
    this.#numPrefillTokens += numTokens;
    this.#numPromptRows += sequence.promptRowsOf(numTokens);
    this.#schedule(sequence, numTokens);
  }

  #schedule(sequence: Sequence, numTokens: number): void {
    sequence.numScheduled = numTokens;
    this.#scheduled.push(sequence);
  }
}

/** Whether `a` goes before `b` whatever rows their requests have: continuations, then smaller priority. */
const isBefore = (a: Sequence, b: Sequence): boolean =>
  Number(b.numContinued > 0) - Number(a.numContinued > 0) < 0 ||
  (a.numContinued > 0 === b.numContinued > 0 && a.request.priority < b.request.priority);

function remove(sequences: Sequence[], sequence: Sequence): void {
  const index = sequences.indexOf(sequence);
  assert(index >= 0, `${sequence.request.key}, choice ${sequence.choice}, is not in its list`);
  sequences.splice(index, 1);
}
