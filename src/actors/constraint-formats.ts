/**
 * What requests ask of their outputs, as formats for the grammar runtime. Small ones are made at once; what would hold the event loop for
 * longer goes to a thread of its own. What was made is kept: the same schema usually comes again.
 */
import type { ConstraintSpec } from '../core/generation.ts';
import { checkConstraintSize, constraintFormat } from '../text/constraint/constraint-format.ts';
import type { Format } from '../text/constraint/structural-tag.ts';
import { LARGE_WORK, SMALL_WORK, WorkLimitError } from '../text/constraint/work-limit.ts';

export interface FormatThread {
  /** @throws TroupeError invalid_request; internal_error when the thread failed. */
  format(spec: ConstraintSpec, signal?: AbortSignal): Promise<Format>;
}

/** More is not even begun here. */
const MAX_SMALL_CHARS = 8_192;
const MAX_KEPT = 128;
/** Longer texts are not kept. */
const MAX_KEY_CHARS = 32_768;

export class ConstraintFormats {
  readonly #thread: FormatThread | null;
  /** By the spec as JSON, the longest unused first. */
  readonly #kept = new Map<string, Format>();

  /** @param thread null = everything is made here. */
  constructor(thread: FormatThread | null) {
    this.#thread = thread;
  }

  /**
   * Calls `use`, which asks for the formats that it needs; again, after one that takes longer was made.
   * @throws TroupeError invalid_request for what cannot be enforced; what `use` throws.
   */
  async with<T>(use: (formatOf: (spec: ConstraintSpec) => Format) => T, signal?: AbortSignal): Promise<T> {
    const made = new Map<string, Format>();
    for (;;) {
      try {
        return use((spec) => this.#get(spec, made));
      } catch (error) {
        if (!(error instanceof Postponed) || !this.#thread) throw error;
        const format = await this.#thread.format(error.spec, signal);
        made.set(error.key, format);
        this.#keep(error.key, format);
      }
    }
  }

  #get(spec: ConstraintSpec, made: ReadonlyMap<string, Format>): Format {
    checkConstraintSize(spec);
    const { param: _, ...asked } = spec;
    const key = JSON.stringify(asked);
    const known = made.get(key) ?? this.#kept.get(key);
    if (known) {
      this.#keep(key, known);
      return known;
    }
    if (this.#thread && key.length > MAX_SMALL_CHARS) throw new Postponed(spec, key);
    try {
      const format = constraintFormat(spec, this.#thread ? SMALL_WORK : LARGE_WORK);
      this.#keep(key, format);
      return format;
    } catch (error) {
      if (error instanceof WorkLimitError) throw new Postponed(spec, key);
      throw error;
    }
  }

  #keep(key: string, format: Format): void {
    if (key.length > MAX_KEY_CHARS) return;
    this.#kept.delete(key);
    this.#kept.set(key, format);
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
  }
}

class Postponed extends Error {
  readonly spec: ConstraintSpec;
  readonly key: string;

  constructor(spec: ConstraintSpec, key: string) {
    super('This format is made in the thread.');
    this.spec = spec;
    this.key = key;
  }
}
