/** One setting: what it takes, what it is when nobody says, and the sentence about it. */
import type { z } from 'zod';

export type SettingGroup = 'Model' | 'Server' | 'Batching and KV cache' | 'Parallelism' | 'Cluster' | 'Features' | 'Operation';

export interface Setting<Schema extends z.ZodType> {
  readonly schema: Schema;
  /** `null` = chosen at start, as `doc` says. */
  readonly default: z.output<Schema> | null;
  readonly group: SettingGroup;
  /** What --help calls the value; absent for switches. */
  readonly value?: string;
  /** The flag may be given several times: each adds to the list. */
  readonly isRepeatable?: boolean;
  /** Told nowhere: not in messages, not by --print-config, not to child processes. */
  readonly isSecret?: boolean;
  readonly doc: string;
}

export const setting = <Schema extends z.ZodType>(entry: Setting<Schema>): Setting<Schema> => entry;
