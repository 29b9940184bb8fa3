/**
 * Whether the server is paused, known by all its processes: the last operator's word holds. Each keeps the greatest mark it has heard and
 * repeats it in its beats, so that a process that starts again learns it from any other.
 */
import type { PauseMode, PauseState } from '../core/operations.ts';
import type { PauseMark } from '../transport/messages.ts';

const NEVER_PAUSED: PauseMark = { isPaused: false, mode: 'abort', revision: 0, origin: '' };

export class PauseRegister {
  #mark = NEVER_PAUSED;

  get state(): PauseState {
    return this.#mark;
  }

  get mark(): PauseMark {
    return this.#mark;
  }

  /** The field of a beat; empty while nobody ever paused. */
  get beatField(): { readonly pause?: PauseMark } {
    return this.#mark.revision === 0 ? {} : { pause: this.#mark };
  }

  /** The mark that a new word of an operator makes, here. */
  next(origin: string, isPaused: boolean, mode: PauseMode): PauseMark {
    return { isPaused, mode, revision: this.#mark.revision + 1, origin };
  }

  /** @returns whether the mark was news. */
  adopt(mark: PauseMark | undefined): boolean {
    if (!mark || compareMarks(mark, this.#mark) <= 0) return false;
    this.#mark = mark;
    return true;
  }
}

/** Negative when `a` is older. */
function compareMarks(a: PauseMark, b: PauseMark): number {
  return a.revision - b.revision || (a.origin < b.origin ? -1 : a.origin > b.origin ? 1 : 0);
}

/** Whether sequences stop between two tokens. */
export const isFrozen = ({ isPaused, mode }: PauseState): boolean => isPaused && mode === 'keep';
