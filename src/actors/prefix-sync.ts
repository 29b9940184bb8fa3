/**
 * Keeps a frontend's prefix index in step with the engines: takes numbered KvEvents in their order, and asks for the whole where a number is
 * missing, where a beat tells of events that never came, and of engines it has just met.
 */
import { compareEpochs, type Epoch } from '../core/ids.ts';
import { decodeKvDump, decodeKvEvents, encode } from '../transport/codec.ts';
import { unpackHashes, unpackStored } from '../transport/kv-hashes.ts';
import type { EngineBeat, KvEvents } from '../transport/messages.ts';
import { ALL_KV_EVENTS, engineRequests } from '../transport/subjects.ts';
import type { Subscription, Transport } from '../transport/transport.ts';
import { engineKey } from './directory.ts';
import type { PrefixIndex } from './prefix-index.ts';

/** An answer that takes longer is asked for again with a later beat. */
const DUMP_TIMEOUT_MS = 500;
/** Events that wait for a dump; what is dropped is noticed as a gap. */
const MAX_WAITING = 256;

export interface PrefixSyncOptions {
  readonly transport: Transport;
  readonly index: PrefixIndex;
  /** Events that could not be read, or of an earlier epoch. */
  readonly onRefused: (reason: 'stale_epoch' | 'unreadable') => void;
}

interface Line {
  readonly id: string;
  readonly epoch: Epoch;
  /** The index is as of this number; 0 = nothing was ever there. */
  kvSeq: number;
  isAsking: boolean;
  /** A beat has told of events that had not come. They may have been overtaken; at the next beat they are lost. */
  wasBehind: boolean;
  waiting: KvEvents[];
}

export class PrefixSync {
  readonly #options: PrefixSyncOptions;
  readonly #lines = new Map<string, Line>();
  readonly #subscription: Subscription;
  /** Dumps that were asked for. */
  numDumps = 0;

  constructor(options: PrefixSyncOptions) {
    this.#options = options;
    this.#subscription = options.transport.subscribe(ALL_KV_EVENTS, ({ data }) => {
      const events = this.#read(() => decodeKvEvents(data));
      if (events) this.#take(events);
    });
  }

  heard({ engineId, engineEpoch, kvSeq }: EngineBeat): void {
    if (kvSeq === undefined) return;
    const isNew = !this.#lines.has(engineId);
    const line = this.#lineOf(engineId, engineEpoch);
    if (!line) return;
    const isBehind = kvSeq > line.kvSeq;
    if (isBehind && (isNew || line.wasBehind)) void this.#ask(line);
    line.wasBehind = isBehind;
  }

  /** The engine is lost. */
  forget(engineId: string): void {
    const line = this.#lines.get(engineId);
    if (!line) return;
    this.#lines.delete(engineId);
    this.#options.index.drop(engineKey(line.id, line.epoch));
  }

  close(): void {
    this.#subscription.unsubscribe();
    this.#lines.clear();
  }

  #take(events: KvEvents): void {
    const line = this.#lineOf(events.engineId, events.engineEpoch);
    if (!line) this.#options.onRefused('stale_epoch');
    else if (events.kvSeq === line.kvSeq + 1 && !line.isAsking) this.#apply(line, events);
    else if (events.kvSeq > line.kvSeq) this.#keep(line, events);
  }

  /** Something before it is missing, or on its way. */
  #keep(line: Line, events: KvEvents): void {
    line.waiting.push(events);
    if (line.waiting.length > MAX_WAITING) line.waiting.shift();
    void this.#ask(line);
  }

  #apply(line: Line, { kvSeq, stored, removed }: KvEvents): void {
    line.kvSeq = kvSeq;
    this.#options.index.apply(engineKey(line.id, line.epoch), unpackStored(stored), unpackHashes(removed));
  }

  async #ask(line: Line): Promise<void> {
    if (line.isAsking) return;
    line.isAsking = true;
    line.wasBehind = false;
    this.numDumps++;
    const { transport, index } = this.#options;
    const answer = await transport
      .request(engineRequests(line.id, line.epoch), encode({ type: 'kvDump' }), DUMP_TIMEOUT_MS)
      .catch(() => null); // it is still behind at a later beat
    line.isAsking = false;
    if (this.#lines.get(line.id) !== line) return;
    const dump = answer && this.#read(() => decodeKvDump(answer));
    if (dump && compareEpochs(dump.engineEpoch, line.epoch) === 0 && dump.kvSeq >= line.kvSeq) {
      line.kvSeq = dump.kvSeq;
      index.replace(engineKey(line.id, line.epoch), unpackStored(dump.stored));
    }
    const waiting = line.waiting.sort((a, b) => a.kvSeq - b.kvSeq);
    line.waiting = [];
    for (const events of waiting) if (events.kvSeq === line.kvSeq + 1) this.#apply(line, events);
  }

  /** Null for an earlier epoch than one that is known. */
  #lineOf(id: string, epoch: Epoch): Line | null {
    const known = this.#lines.get(id);
    const age = known ? compareEpochs(epoch, known.epoch) : 1;
    if (known && age === 0) return known;
    if (age < 0) return null;
    this.forget(id);
    const line: Line = { id, epoch, kvSeq: 0, isAsking: false, wasBehind: false, waiting: [] };
    this.#lines.set(id, line);
    return line;
  }

  #read<T>(decode: () => T): T | null {
    try {
      return decode();
    } catch {
      this.#options.onRefused('unreadable');
      return null;
    }
  }
}
