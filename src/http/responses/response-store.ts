/**
 * Responses that a later request may go on from, in the memory of this process. Bounded in bytes: the least recently used go first. Each is
 * kept once, with a link to the one it continued, and used with all those before it: a conversation that is gone on with stays whole.
 */
import type { Clock } from '../../core/clock.ts';
import type { Item } from './items.ts';

export interface StoredResponse {
  readonly response: { readonly id: string; readonly previous_response_id: string | null; readonly output: readonly Item[] };
  /** The request's own items, references replaced by what they meant. */
  readonly input: readonly Item[];
}

export interface ResponseStoreOptions {
  readonly clock: Clock;
  /** Of JSON text in memory, two for each character. */
  readonly maxBytes?: number;
  /** Unused for so long, a response is forgotten. */
  readonly ttlMs?: number;
}

interface Entry {
  /** A `StoredResponse`. */
  readonly json: string;
  usedAt: number;
}

const MAX_BYTES = 64 * 2 ** 20;
const TTL_MS = 24 * 60 * 60 * 1000;

export class ResponseStore {
  readonly #clock: Clock;
  readonly #maxBytes: number;
  readonly #ttlMs: number;
  /** Least recently used first. */
  readonly #entries = new Map<string, Entry>();
  #numBytes = 0;

  constructor({ clock, maxBytes = MAX_BYTES, ttlMs = TTL_MS }: ResponseStoreOptions) {
    this.#clock = clock;
    this.#maxBytes = maxBytes;
    this.#ttlMs = ttlMs;
  }

  get size(): number {
    this.#expire();
    return this.#entries.size;
  }

  /** Null: never stored, deleted, or forgotten. */
  get(id: string): StoredResponse | null {
    this.#expire();
    const entry = this.#entries.get(id);
    if (!entry) return null;
    this.#entries.delete(id);
    entry.usedAt = this.#clock.monotonic();
    this.#entries.set(id, entry);
    return JSON.parse(entry.json) as StoredResponse;
  }

  /** This response and those that it continued, the oldest first; the id that is not there when one of them is missing. */
  conversation(id: string): { readonly responses: readonly StoredResponse[] } | { readonly missing: string } {
    const responses: StoredResponse[] = [];
    for (let next: string | null = id; next !== null; ) {
      const stored = this.get(next);
      if (!stored) return { missing: next };
      responses.push(stored);
      next = stored.response.previous_response_id;
    }
    return { responses: responses.reverse() };
  }

  /** One that alone is larger than the store is not kept. */
  put(stored: StoredResponse): void {
    const { id } = stored.response;
    this.delete(id);
    const json = JSON.stringify(stored);
    if (bytesOf(json) > this.#maxBytes) return;
    this.#entries.set(id, { json, usedAt: this.#clock.monotonic() });
    this.#numBytes += bytesOf(json);
    for (const oldest of this.#entries.keys()) {
      if (this.#numBytes <= this.#maxBytes) break;
      this.delete(oldest);
    }
  }

  delete(id: string): boolean {
    const entry = this.#entries.get(id);
    if (!entry) return false;
    this.#numBytes -= bytesOf(entry.json);
    return this.#entries.delete(id);
  }

  #expire(): void {
    const oldestUse = this.#clock.monotonic() - this.#ttlMs;
    for (const [id, { usedAt }] of this.#entries) {
      if (usedAt > oldestUse) break;
      this.delete(id);
    }
  }
}

const bytesOf = (json: string): number => 2 * json.length;
