/** What the supervisor hands a child process through its environment: plain data. */
import type { ServePlan } from './preflight.ts';

export const CHILD_VARIABLE = 'TROUPE_CHILD';

export interface ChildAssignment {
  readonly role: 'frontend' | 'engine';
  /** Its place, kept by its successors: `frontend-0`, `engine-0`. */
  readonly id: string;
  readonly plan: ServePlan;
  /** Where the processes of this server find each other. */
  readonly directory: string;
  readonly port: number;
  readonly version: string;
  readonly logFormat: 'text' | 'json';
  /** Of the API keys, which themselves stay in the supervisor. */
  readonly apiKeyDigests: readonly string[];
  /** When the server was started, seconds since 1970: the model's `created`. */
  readonly startedAtSeconds: number;
}
