/**
 * What a frontend remembers of a request: enough for any engine with the same fingerprint to go on from the last accepted token.
 * The next token is a pure function of params, seed, prompt and output, so the continuation is the text that was interrupted.
 */
import { createHash } from 'node:crypto';
import { assert } from '../core/errors.ts';
import type { FinishReason } from '../core/generation.ts';
import type { Epoch } from '../core/ids.ts';
import type { SamplingParams } from '../core/sampling-params.ts';
import type { AddRequest } from '../transport/messages.ts';

export interface ChoiceJournal {
  readonly index: number;
  readonly outputIds: number[];
  finish: FinishReason | null;
}

/** What never changes in the life of a request. */
export interface JournalHeader {
  readonly requestId: string;
  /** The frontend's number for it; never used twice in one frontend epoch. */
  readonly slot: number;
  readonly promptIds: Uint32Array;
  readonly params: SamplingParams;
  /** 0 … 2^63 - 1; always fixed by the frontend. */
  readonly seed: bigint;
  readonly cacheSalt: string;
  readonly priority: number;
  readonly numChoices: number;
}

export class Journal {
  readonly header: JournalHeader;
  readonly choices: readonly ChoiceJournal[];
  /** All of the prompt's log-probabilities are here: the next engine need not tell them again. */
  hasPromptLogprobs = false;

  constructor(header: JournalHeader) {
    this.header = header;
    this.choices = Array.from({ length: header.numChoices }, (_, index) => ({ index, outputIds: [], finish: null }));
  }

  get hasOutput(): boolean {
    return this.choices.some((choice) => choice.outputIds.length > 0);
  }

  get isFinished(): boolean {
    return this.choices.every((choice) => choice.finish !== null);
  }

  get numOutputTokens(): number {
    return this.choices.reduce((sum, choice) => sum + choice.outputIds.length, 0);
  }

  /**
   * How many of `numIds` ids that start at `firstIndex` are already in the journal. 0 = all new; `numIds` = a pure duplicate.
   * Null when ids between the journal's end and `firstIndex` are missing.
   */
  numKnown(choice: ChoiceJournal, firstIndex: number, numIds: number): number | null {
    const length = choice.outputIds.length;
    if (firstIndex > length) return null;
    return Math.min(length - firstIndex, numIds);
  }

  finish(choice: ChoiceJournal, reason: FinishReason): void {
    assert(choice.finish === null, `choice ${choice.index} of ${this.header.requestId} finished twice: ${choice.finish}, then ${reason}`);
    choice.finish = reason;
  }

  /** Tells equal prompts apart from others in a log that must not hold any: the beginning of a SHA-256 over the ids. */
  get promptHash(): string {
    return createHash('sha256').update(Uint32Array.from(this.header.promptIds)).digest('hex').slice(0, 32);
  }

  /** The message that gives the request, or what is left of it, to an engine. */
  toAddRequest(frontendId: string, frontendEpoch: Epoch, attempt: number, isSuspect = false): AddRequest {
    const { requestId, slot, seed, promptIds, cacheSalt, priority, params } = this.header;
    const choices = this.choices.map((choice) => ({
      index: choice.index,
      outputIds: choice.outputIds,
      finished: choice.finish !== null,
    }));
    return {
      type: 'addRequest',
      frontendId,
      frontendEpoch,
      requestId,
      slot,
      attempt,
      seed,
      promptIds,
      cacheSalt,
      priority,
      params: this.hasPromptLogprobs ? { ...params, promptLogprobs: null } : params,
      ...(isSuspect && { isSuspect }),
      controls: [],
      choices,
    };
  }
}
