/**
 * What a supervisor and its child processes tell each other over Node's IPC channel, grouped by receiver. The channel is reliable and
 * ordered while both live, and its end is itself a message: the other one is gone. Tokens and requests never travel here.
 */

/** One child as its supervisor sees it. */
export interface ChildStatus {
  readonly name: string;
  readonly role: string;
  readonly state: 'down' | 'waiting' | 'starting' | 'running' | 'stopping';
  /** Null without a process. */
  readonly pid: number | null;
  readonly numRestarts: number;
}

export type ToChild =
  /** Take nothing new and finish what runs, in at most `graceMs` (null = however long it takes), then answer `drained`. */
  | { readonly type: 'drain'; readonly graceMs: number | null }
  /** End now, in order. After a deadline comes SIGKILL. */
  | { readonly type: 'stop' }
  /** A process died more often than its budget allows: tell whoever asks, the end is near. */
  | { readonly type: 'serverFailed'; readonly reason: string };

/** Exit code of a child whose name was taken by a later start elsewhere: to start it again would only take the name back. */
export const SUPERSEDED = 3;

export type FromChild =
  /** Progress of a start, 0 … 1 within its stage. */
  | { readonly type: 'loading'; readonly stage: string; readonly fraction: number }
  /** It does its work; `facts` are for the log and for the next launch (the port it listens on, …). */
  | { readonly type: 'ready'; readonly facts: Readonly<Record<string, unknown>> }
  /** Answers `drain`. */
  | { readonly type: 'drained' }
  /**
   * It cannot go on and ends. `exitCode` 2 before it was ever ready: a restart would not help (a bad model, a busy port), so the whole
   * server ends with this message and code. SUPERSEDED ends it at any time, with code 2.
   */
  | { readonly type: 'failed'; readonly exitCode: number; readonly message: string };
