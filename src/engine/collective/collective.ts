/** What ranks of a group do together: each gives its part of a tensor and gets everyone's. How the bytes travel is the carrier's matter. */

export interface Exchange {
  /** Address of this rank's part: `numRows` rows of `rowBytes[rank]` bytes. */
  readonly from: number;
  readonly numRows: number;
  /** Of each rank's part. */
  readonly rowBytes: readonly number[];
  /** Only rank 0 wants the parts; the others give theirs. */
  readonly isForRoot: boolean;
  /** Takes `numRows` rows from `firstRow` on of the part of `rank`, which lie at `address` until it returns. */
  readonly place: (rank: number, address: number, firstRow: number, numRows: number) => void;
}

export interface CollectiveCounters {
  readonly numExchanges: number;
  /** Of other ranks, received. */
  readonly numBytes: number;
  /** Spent in exchanges, waiting for other ranks included. */
  readonly seconds: number;
}

/** One rank's end. All ranks call `exchange` in the same order; it returns when every part is there. */
export interface Collective {
  readonly rank: number;
  readonly size: number;
  readonly counters: CollectiveCounters;
  /** Exchanges until the next call belong to this step: ranks that are not in the same one notice. */
  beginStep(stepId: number): void;
  /** @throws CollectiveError: the group cannot go on. */
  exchange(exchange: Exchange): void;
}

/** A rank did not answer, or is not where the others are. The whole group ends. */
export class CollectiveError extends Error {
  override readonly name = 'CollectiveError';
  readonly code: 'deadline' | 'out_of_step';
  readonly rank: number;

  constructor(code: CollectiveError['code'], rank: number, message: string) {
    super(message);
    this.code = code;
    this.rank = rank;
  }
}
