/**
 * FastDeploy's `repetition` strategy: a text whose last `windowSize` tokens were all nearly certain repeats itself, and is ended. It looks
 * at probabilities that come with the tokens, so that another engine in the middle changes nothing.
 */
export interface EarlyStopOptions {
  /** Tokens in a row. */
  readonly windowSize: number;
  /** Each has a probability above this. */
  readonly threshold: number;
}

/** One per choice. */
export class RepetitionStop {
  readonly #options: EarlyStopOptions;
  #numCertain = 0;

  constructor(options: EarlyStopOptions) {
    this.#options = options;
  }

  /** Takes the next token's log-probability. @returns whether the choice ends with it. */
  take(logprob: number): boolean {
    this.#numCertain = Math.exp(logprob) > this.#options.threshold ? this.#numCertain + 1 : 0;
    return this.#numCertain >= this.#options.windowSize;
  }
}
