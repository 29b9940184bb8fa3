/**
 * The engine group's word on its prefix cache: numbered KvEvents, gathered for a while so that a busy engine sends some thirty a second and
 * an idle one none, and the whole on request. The main thread keeps its own copy, so the rank is never asked.
 */
import type { BlockHash } from '../core/block-hash.ts';
import type { Clock } from '../core/clock.ts';
import type { Epoch } from '../core/ids.ts';
import { type KvChanges, KvEventLog } from '../engine/kv/kv-events.ts';
import { encode } from '../transport/codec.ts';
import { packHashes, STORED_BYTES } from '../transport/kv-hashes.ts';
import type { KvDump } from '../transport/messages.ts';
import { engineKvEvents } from '../transport/subjects.ts';
import type { Transport } from '../transport/transport.ts';

/** Changes wait this long for others: far below the time of a prefill that a wrong route costs. */
const GATHER_MS = 30;
/** Left free in a dump's message for everything but blocks. */
const DUMP_HEAD_BYTES = 4096;

export interface KvFeedOptions {
  readonly engineId: string;
  readonly epoch: Epoch;
  readonly transport: Transport;
  readonly clock: Clock;
  /** What an earlier feed of the same rank knew. */
  readonly blocks?: ReadonlyMap<BlockHash, BlockHash>;
}

export class KvFeed {
  readonly #options: KvFeedOptions;
  /** Hash → parent, in the order of arrival. */
  readonly #blocks: Map<BlockHash, BlockHash>;
  readonly #pending = new KvEventLog();
  #timer: unknown = null;
  #kvSeq: number;

  constructor(options: KvFeedOptions) {
    this.#options = options;
    this.#blocks = new Map(options.blocks);
    this.#kvSeq = this.#blocks.size > 0 ? 1 : 0; // number 0 means: there has never been anything
  }

  /** Of the last KvEvents. */
  get kvSeq(): number {
    return this.#kvSeq;
  }

  get blocks(): ReadonlyMap<BlockHash, BlockHash> {
    return this.#blocks;
  }

  take({ stored, removed }: KvChanges): void {
    for (const hash of removed) {
      this.#blocks.delete(hash);
      this.#pending.noteRemoved(hash);
    }
    for (const [hash, parent] of stored) {
      this.#blocks.set(hash, parent);
      this.#pending.noteStored(hash, parent);
    }
    this.#timer ??= this.#options.clock.setTimeout(() => this.#flush(), GATHER_MS);
  }

  /** Everything, as of the last number; the first blocks only where a message could not carry all. */
  dump(): KvDump {
    this.#flush();
    const maxBlocks = Math.floor((this.#options.transport.maxMessageBytes - DUMP_HEAD_BYTES) / STORED_BYTES);
    const blocks = [...this.#blocks].slice(0, Math.max(0, maxBlocks));
    return { type: 'kvDump', engineEpoch: this.#options.epoch, kvSeq: this.#kvSeq, stored: packHashes(blocks.flat()) };
  }

  close(): void {
    this.#options.clock.clearTimeout(this.#timer);
  }

  #flush(): void {
    const { clock, transport, engineId, epoch } = this.#options;
    clock.clearTimeout(this.#timer);
    this.#timer = null;
    const changes = this.#pending.take();
    if (!changes) return;
    this.#kvSeq++;
    const stored = packHashes(changes.stored.flat());
    const event = {
      type: 'kvEvents',
      engineId,
      engineEpoch: epoch,
      kvSeq: this.#kvSeq,
      stored,
      removed: packHashes(changes.removed),
    } as const;
    transport.publish(engineKvEvents(engineId, epoch), encode(event));
  }
}
