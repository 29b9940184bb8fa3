/**
 * What a client measures on one streamed request, and what a run of many adds up to.
 * TTFT, ITL, TPOT, E2EL, goodput: the definitions of `vllm bench serve`, so that numbers compare. Beside them the same two latencies
 * from the moment the arrival process *intended* to send: a client that falls behind cannot hide a slow server (coordinated omission).
 */
import { type Summary, summarize } from './statistics.ts';

/** Times are milliseconds on one clock. */
export interface RequestRecord {
  /** When the arrival process wanted it sent. */
  readonly intendedMs: number;
  readonly sentMs: number;
  /** Arrival of each chunk that carries text; the first one is the first token. */
  readonly chunkMs: readonly number[];
  /** Arrival of the last chunk with choices (the finish reason may come in one without text). */
  readonly lastMs: number;
  /** From the server's `usage`, never counted from chunks: one chunk may carry several tokens. */
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly cachedTokens: number;
  /** Why it failed; failed requests count in `failed` and nowhere else. */
  readonly error: string | null;
}

export interface LatencyGoal {
  readonly metric: 'ttft' | 'tpot' | 'e2el';
  readonly limitMs: number;
}

export interface RunMetrics {
  readonly durationSeconds: number;
  readonly completed: number;
  readonly failed: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly requestThroughput: number;
  /** Requests per second that met all goals; null without goals. */
  readonly requestGoodput: number | null;
  /** Output tokens per second of the requests that met all goals; null without goals. */
  readonly tokenGoodput: number | null;
  readonly outputThroughput: number;
  readonly totalThroughput: number;
  /** Most output tokens in one second, and most requests under way in one second: 1-second buckets. */
  readonly peakOutputThroughput: number;
  readonly peakConcurrency: number;
  readonly ttftMs: Summary;
  readonly tpotMs: Summary;
  readonly itlMs: Summary;
  readonly e2elMs: Summary;
  /** The longest gap between chunks of each request: what a reader sees as a stall. */
  readonly maxGapMs: Summary;
  readonly intendedTtftMs: Summary;
  readonly intendedE2elMs: Summary;
}

/** Time to first token. */
export function ttft(record: RequestRecord): number {
  return record.chunkMs[0]! - record.sentMs;
}

/** From sending to the last chunk. */
export function e2el(record: RequestRecord): number {
  return record.lastMs - record.sentMs;
}

/** Time per output token after the first; null for requests of at most one token. */
export function tpot(record: RequestRecord): number | null {
  return record.outputTokens > 1 ? (e2el(record) - ttft(record)) / (record.outputTokens - 1) : null;
}

/** Inter-token latencies: the gaps between chunks. */
export function gaps(record: RequestRecord): number[] {
  return record.chunkMs.slice(1).map((time, index) => time - record.chunkMs[index]!);
}

/** A request of one token has no TPOT and so cannot miss that goal. */
export function meetsGoals(record: RequestRecord, goals: readonly LatencyGoal[]): boolean {
  const measured = { ttft: ttft(record), tpot: tpot(record) ?? 0, e2el: e2el(record) };
  return goals.every((goal) => measured[goal.metric] <= goal.limitMs);
}

/** `startMs` and `endMs` bound the run: first intended sending to last chunk. */
export function measureRun(records: readonly RequestRecord[], startMs: number, endMs: number, goals: readonly LatencyGoal[]): RunMetrics {
  const done = records.filter((record) => record.error === null && record.chunkMs.length > 0);
  const seconds = Math.max(endMs - startMs, Number.EPSILON) / 1000;
  const sum = (of: (record: RequestRecord) => number, over = done) => over.reduce((total, record) => total + of(record), 0);
  const good = done.filter((record) => meetsGoals(record, goals));
  const promptTokens = sum((record) => record.promptTokens);
  const outputTokens = sum((record) => record.outputTokens);
  return {
    durationSeconds: seconds,
    completed: done.length,
    failed: records.length - done.length,
    promptTokens,
    cachedTokens: sum((record) => record.cachedTokens),
    outputTokens,
    requestThroughput: done.length / seconds,
    requestGoodput: goals.length === 0 ? null : good.length / seconds,
    tokenGoodput: goals.length === 0 ? null : sum((record) => record.outputTokens, good) / seconds,
    outputThroughput: outputTokens / seconds,
    totalThroughput: (promptTokens + outputTokens) / seconds,
    ...peaks(done, startMs, endMs),
    ttftMs: summarize(done.map(ttft)),
    tpotMs: summarize(done.map(tpot).filter((value) => value !== null)),
    itlMs: summarize(done.flatMap(gaps)),
    e2elMs: summarize(done.map(e2el)),
    maxGapMs: summarize(done.filter((record) => record.chunkMs.length > 1).map((record) => Math.max(...gaps(record)))),
    intendedTtftMs: summarize(done.map((record) => record.chunkMs[0]! - record.intendedMs)),
    intendedE2elMs: summarize(done.map((record) => record.lastMs - record.intendedMs)),
  };
}

function peaks(records: readonly RequestRecord[], startMs: number, endMs: number) {
  const buckets = Math.floor((endMs - startMs) / 1000) + 1;
  const tokens = new Float64Array(buckets);
  const concurrency = new Uint32Array(buckets);
  const bucketOf = (timeMs: number) => Math.min(buckets - 1, Math.max(0, Math.floor((timeMs - startMs) / 1000)));
  for (const record of records) {
    // A chunk may carry several tokens: the request's tokens are spread evenly over its chunks.
    for (const time of record.chunkMs) tokens[bucketOf(time)]! += record.outputTokens / record.chunkMs.length;
    for (let bucket = bucketOf(record.sentMs); bucket <= bucketOf(record.lastMs); bucket++) concurrency[bucket]!++;
  }
  return { peakOutputThroughput: Math.max(...tokens), peakConcurrency: Math.max(...concurrency) };
}
