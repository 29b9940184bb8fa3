/**
 * Ranks that share memory. Each has two slots, used in turn, and a place on a board where it counts the pieces it has written:
 *
 *   write the piece into my slot → count up → wait until all others have counted as far → read their slots
 *
 * Two slots are enough: whoever writes piece n + 2 has seen every rank at n + 1, and so done with n. A rank of another process has its
 * slots here too, filled by whoever receives its bytes (see actors/group): this code cannot tell the difference.
 */
import koffi from 'koffi';
import type { Clock } from '../../core/clock.ts';
import { addressOf, raiseStackSize } from '../runner/ort-api.ts';
import { type Collective, type CollectiveCounters, CollectiveError, type Exchange } from './collective.ts';

/** Plain data: it crosses thread borders. */
export interface CollectiveMemory {
  readonly size: number;
  readonly slotBytes: number;
  /** Per rank BOARD_INTS numbers, see BOARD. */
  readonly board: SharedArrayBuffer;
  /** [rank][slot][slotBytes] */
  readonly slots: SharedArrayBuffer;
}

/** A cache line for each rank, so that one's counting does not slow the others' looking. */
export const BOARD_INTS = 16;
/** Where in its line a rank notes pieces written, and step and tensor of the piece in each slot. */
export const BOARD = { pieces: 0, step: 1, tensor: 3 } as const;

/** @param rowBytes of the longest row that is ever exchanged: a piece holds one at least. */
export function newCollectiveMemory(size: number, rowBytes: number): CollectiveMemory {
  const slotBytes = Math.max(1 << 20, Math.ceil(rowBytes / 64) * 64);
  return {
    size,
    slotBytes,
    board: new SharedArrayBuffer(size * BOARD_INTS * Int32Array.BYTES_PER_ELEMENT),
    slots: new SharedArrayBuffer(size * 2 * slotBytes),
  };
}

/** Of a piece that a rank has written, for those that carry it elsewhere. */
export interface WrittenPiece {
  /** Counted from 1. */
  readonly piece: number;
  readonly step: number;
  readonly tensor: number;
  readonly numBytes: number;
  readonly isForRoot: boolean;
}

export interface SharedMemoryOptions {
  readonly rank: number;
  readonly memory: CollectiveMemory;
  /** Longest wait for one piece of another rank. */
  readonly deadlineMs: number;
  readonly clock: Pick<Clock, 'monotonic'>;
  /** Called for each piece when ranks live in other processes. */
  readonly onWritten?: (piece: WrittenPiece) => void;
}

/** Looks at the board before sleeping: some 20 µs. Ranks arrive nearly together, and waking a thread takes longer than that. */
const NUM_LOOKS = 4000;

export class SharedMemoryCollective implements Collective {
  readonly rank: number;
  readonly size: number;
  readonly #options: SharedMemoryOptions;
  readonly #board: Int32Array;
  /** Kept referenced: native code uses its address. */
  readonly #slots: Uint8Array;
  readonly #slotsAddress: number;
  readonly #copy: (to: number, from: number, numBytes: number) => void;
  #piece = 0;
  #step = 0;
  #tensor = 0;
  #numExchanges = 0;
  #numBytes = 0;
  #milliseconds = 0;

  constructor(options: SharedMemoryOptions) {
    const { rank, memory } = options;
    this.rank = rank;
    this.size = memory.size;
    this.#options = options;
    this.#board = new Int32Array(memory.board);
    this.#slots = new Uint8Array(memory.slots);
    this.#slotsAddress = Number(addressOf(this.#slots));
    this.#copy = memmove();
  }

  get counters(): CollectiveCounters {
    return { numExchanges: this.#numExchanges, numBytes: this.#numBytes, seconds: this.#milliseconds / 1000 };
  }

  beginStep(stepId: number): void {
    this.#step = stepId | 0;
    this.#tensor = 0;
  }

  exchange(exchange: Exchange): void {
    const startedMs = this.#options.clock.monotonic();
    const { numRows, rowBytes } = exchange;
    const rowsPerPiece = Math.max(1, Math.floor(this.#options.memory.slotBytes / Math.max(...rowBytes)));
    this.#tensor++;
    for (let first = 0; first < numRows; first += rowsPerPiece) {
      this.#exchangePiece(exchange, first, Math.min(rowsPerPiece, numRows - first));
    }
    this.#numExchanges++;
    this.#milliseconds += this.#options.clock.monotonic() - startedMs;
  }

  #exchangePiece({ from, rowBytes, isForRoot, place }: Exchange, firstRow: number, numRows: number): void {
    const ownBytes = rowBytes[this.rank]!;
    const source = from + firstRow * ownBytes;
    this.#write(source, isForRoot && this.rank === 0 ? 0 : numRows * ownBytes, isForRoot);
    for (let rank = 0; rank < this.size; rank++) if (rank !== this.rank) this.#waitFor(rank);
    if (isForRoot && this.rank !== 0) return;
    const slot = (this.#piece - 1) & 1;
    for (let rank = 0; rank < this.size; rank++) {
      if (rank === this.rank) place(rank, source, firstRow, numRows);
      else {
        place(rank, this.#slotAddress(rank, slot), firstRow, numRows);
        this.#numBytes += numRows * rowBytes[rank]!;
      }
    }
  }

  #write(from: number, numBytes: number, isForRoot: boolean): void {
    const slot = this.#piece & 1;
    const line = this.rank * BOARD_INTS;
    if (numBytes > 0) this.#copy(this.#slotAddress(this.rank, slot), from, numBytes);
    this.#board[line + BOARD.step + slot] = this.#step;
    this.#board[line + BOARD.tensor + slot] = this.#tensor;
    this.#piece = (this.#piece + 1) | 0;
    Atomics.store(this.#board, line + BOARD.pieces, this.#piece);
    Atomics.notify(this.#board, line + BOARD.pieces);
    this.#options.onWritten?.({ piece: this.#piece, step: this.#step, tensor: this.#tensor, numBytes, isForRoot });
  }

  #waitFor(rank: number): void {
    const line = rank * BOARD_INTS;
    const index = line + BOARD.pieces;
    for (let look = 0; look < NUM_LOOKS; look++) {
      if (this.#hasWritten(index)) {
        this.#check(rank, line);
        return;
      }
    }
    const untilMs = this.#options.clock.monotonic() + this.#options.deadlineMs;
    for (;;) {
      const seen = Atomics.load(this.#board, index);
      if (((seen - this.#piece) | 0) >= 0) {
        this.#check(rank, line);
        return;
      }
      const leftMs = untilMs - this.#options.clock.monotonic();
      if (leftMs <= 0) throw this.#deadlineError(rank);
      Atomics.wait(this.#board, index, seen, leftMs);
    }
  }

  #hasWritten(index: number): boolean {
    return ((Atomics.load(this.#board, index) - this.#piece) | 0) >= 0;
  }

  #deadlineError(rank: number): CollectiveError {
    const where = `step ${this.#step}, tensor ${this.#tensor}`;
    return new CollectiveError(
      'deadline',
      rank,
      `Rank ${rank} did not answer rank ${this.rank} within ${this.#options.deadlineMs} ms (${where}).`,
    );
  }

  #check(rank: number, line: number): void {
    const slot = (this.#piece - 1) & 1;
    const step = this.#board[line + BOARD.step + slot]!;
    const tensor = this.#board[line + BOARD.tensor + slot]!;
    if (step === this.#step && tensor === this.#tensor) return;
    const message = `Rank ${rank} is at step ${step}, tensor ${tensor}; rank ${this.rank} at step ${this.#step}, tensor ${this.#tensor}.`;
    throw new CollectiveError('out_of_step', rank, message);
  }

  #slotAddress(rank: number, slot: number): number {
    return this.#slotsAddress + (rank * 2 + slot) * this.#options.memory.slotBytes;
  }
}

/** memmove between addresses. */
export function memmove(): (to: number, from: number, numBytes: number) => void {
  raiseStackSize();
  const libc = process.platform === 'win32' ? koffi.load('msvcrt.dll') : koffi.load(null);
  const move = libc.func('memmove', 'uintptr_t', ['uintptr_t', 'uintptr_t', 'size_t']);
  return (to, from, numBytes) => void move(to, from, numBytes);
}
