/**
 * Prompts to token ids without holding the event loop: every open stream waits while a text is encoded. Short texts are encoded here, and
 * after each 20 ms of that everything else gets a turn; long ones, and those behind a long queue, go to a thread (long-text-encoder.ts).
 */
import type { Clock } from '../core/clock.ts';
import type { Tokenizer } from '../text/tokenizer.ts';

export interface EncodeOptions {
  /** Also what the tokenizer puts around a plain text. */
  readonly addSpecialTokens: boolean;
}

/** Rejects with the signal's reason when it was aborted before the text's turn came. */
export type EncodePrompt = (text: string, options: EncodeOptions, signal?: AbortSignal) => Promise<readonly number[]>;

export interface PromptEncoderOptions {
  readonly tokenizer: Pick<Tokenizer, 'encode'>;
  /** Absent = long texts are encoded like all others. */
  readonly longTexts?: { readonly encode: EncodePrompt };
  /** Gives the event loop its turns; absent = it gets none. */
  readonly clock?: Clock;
}

/** UTF-16 units; about 20 ms of encoding. */
const CHARS_PER_TURN = 16_384;
/** What may wait here: about a quarter of a second for whoever comes last. More goes to the thread. */
const MAX_WAITING_CHARS = 16 * CHARS_PER_TURN;

interface Job {
  readonly text: string;
  readonly options: EncodeOptions;
  readonly signal: AbortSignal | undefined;
  resolve(ids: readonly number[]): void;
  reject(reason: unknown): void;
}

export class PromptEncoder {
  readonly #options: PromptEncoderOptions;
  readonly #waiting: Job[] = [];
  #numWaitingChars = 0;
  #numCharsThisTurn = 0;

  constructor(options: PromptEncoderOptions) {
    this.#options = options;
  }

  readonly encode: EncodePrompt = (text, options, signal) => {
    const { longTexts } = this.#options;
    const isLong = text.length > CHARS_PER_TURN || this.#numWaitingChars + text.length > MAX_WAITING_CHARS;
    if (isLong && longTexts) return longTexts.encode(text, options, signal);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ text, options, signal, resolve, reject });
      this.#numWaitingChars += text.length;
      this.#work();
    });
  };

  #work(): void {
    const { clock } = this.#options;
    while (this.#numCharsThisTurn < CHARS_PER_TURN || !clock) {
      const job = this.#waiting.shift();
      if (!job) return;
      this.#numWaitingChars -= job.text.length;
      if (job.signal?.aborted) {
        job.reject(job.signal.reason);
        continue;
      }
      this.#encode(job);
      this.#numCharsThisTurn += job.text.length;
      if (this.#numCharsThisTurn >= CHARS_PER_TURN) clock?.setTimeout(() => this.#nextTurn(), 0);
    }
  }

  #nextTurn(): void {
    this.#numCharsThisTurn = 0;
    this.#work();
  }

  #encode({ text, options, resolve, reject }: Job): void {
    try {
      resolve(this.#options.tokenizer.encode(text, options));
    } catch (error) {
      reject(error);
    }
  }
}
