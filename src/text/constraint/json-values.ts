/** What the rules for arrays and objects share. */
import type { Shape, Sources } from './schema-shape.ts';

/** `", "` or `","` between items, `": "` or `":"` behind names. */
export const COMMA = '"," " "?';
export const COLON = '":" " "?';

/** What rules for arrays and objects need to know of the values inside. */
export interface Values {
  /** The rule of values that match all of `sources`. */
  rule(sources: Sources): string;
  /** Whether any value does. */
  isPossible(sources: Sources): boolean;
  shapes(sources: Sources): readonly Shape[];
}
