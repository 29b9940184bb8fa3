/**
 * What an operator can do to a running server. One frontend is asked and acts for all of them: requests and the pause belong to the
 * server, not to the process that a connection happened to reach. http/ sees only this; actors/frontend.ts implements it.
 */

import type { EngineLoad } from './engine-load.ts';

/**
 * What becomes of the requests that run when the server is paused. `abort`: they end with finish reason `abort`, their text so far stands.
 * `wait`: they finish, and the pause is complete when they have. `keep`: they stop between two tokens and go on with the resume.
 */
export type PauseMode = 'abort' | 'wait' | 'keep';

export interface PauseState {
  readonly isPaused: boolean;
  /** Of the last pause. */
  readonly mode: PauseMode;
}

export interface AbortResult {
  /** Ids of the requests that were ended, as their replies name them. */
  readonly aborted: readonly string[];
  /** The given ids that no running request has. */
  readonly notFound: readonly string[];
}

/** One engine as the frontend knows it from its last beat. */
export interface EngineFacts {
  readonly id: string;
  readonly state: string;
  readonly fingerprint: string;
  readonly load: EngineLoad;
}

/** All metrics of one frontend process, as telemetry/metrics.ts writes and reads them. */
export interface FrontendSnapshot {
  readonly frontend: string;
  readonly json: string;
}

export interface Operations {
  /**
   * Ends requests wherever in the server they are; they answer what they have, with finish reason `abort`.
   * @param ids with or without the prefix of their endpoint; the id of a batch ends all its prompts. `all` = every request.
   */
  abortRequests(ids: readonly string[] | 'all'): Promise<AbortResult>;
  /**
   * New requests wait from now on. Resolves when the running ones are dealt with as `mode` says, in every process of the server.
   * A second pause changes the mode. @throws TroupeError timeout, naming who did not get there.
   */
  pause(mode: PauseMode): Promise<void>;
  /** Undoes a pause; does nothing on a server that is not paused. */
  resume(): Promise<void>;
  pauseState(): PauseState;
  engines(): readonly EngineFacts[];
  /** What the other frontends have measured; those that do not answer at once are left out. */
  peerMetrics(): Promise<readonly FrontendSnapshot[]>;
}
