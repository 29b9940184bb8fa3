/** What the supervisor hands a child process through its environment: plain data. */
import type { TransportPlace } from './cluster-link.ts';
import type { ServePlan } from './preflight.ts';

export const CHILD_VARIABLE = 'TROUPE_CHILD';

export interface ChildAssignment extends TransportPlace {
  readonly role: 'frontend' | 'engine';
  /** Its place on this node, kept by its successors: `frontend-0`, `engine-0`. */
  readonly name: string;
  /** Its place in the cluster: the same on a single machine, `NODE-engine-0` in a cluster. */
  readonly id: string;
  readonly plan: ServePlan;
  readonly port: number;
  readonly version: string;
  readonly logFormat: 'text' | 'json';
  /** Of the API keys, which themselves stay in the supervisor. */
  readonly apiKeyDigests: readonly string[];
  /** When the server was started, seconds since 1970: the model's `created`. */
  readonly startedAtSeconds: number;
  /** When this start of the child was launched, by a clock of the supervisor that never jumps: the incarnation of its epoch. */
  readonly launchedAtMs: number;
}
