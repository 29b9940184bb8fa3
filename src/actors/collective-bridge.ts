/**
 * Carries pieces of collectives between this process's board and those of the group's other processes. To the ranks a piece from
 * elsewhere looks like any other: it lies in its rank's slot, and is counted. Node 0 passes on what the others send.
 *
 *   rank · piece · step · tensor · isForRoot · bytes (int32 each, little-endian) · payload
 */
import type { MessagePort } from 'node:worker_threads';
import { BOARD, BOARD_INTS, type CollectiveMemory, type WrittenPiece } from '../engine/collective/shared-memory.ts';
import type { FrameLink } from '../transport/frame-link.ts';
import { FRAME } from './group-messages.ts';

const HEADER_BYTES = 24;

/** What a rank's outbox carries. */
export type OutgoingPiece = WrittenPiece & { readonly rank: number };

export interface BridgeCounters {
  readonly sentBytes: number;
}

export class CollectiveBridge {
  readonly #memory: CollectiveMemory;
  readonly #board: Int32Array;
  readonly #slots: Uint8Array;
  /** By node; node 0 has one to each other, the others one to node 0. */
  readonly #links: readonly FrameLink[];
  readonly #isRootHere: boolean;
  #sentBytes = 0;

  constructor(memory: CollectiveMemory, links: readonly FrameLink[], isRootHere: boolean) {
    this.#memory = memory;
    this.#board = new Int32Array(memory.board);
    this.#slots = new Uint8Array(memory.slots);
    this.#links = links;
    this.#isRootHere = isRootHere;
  }

  get counters(): BridgeCounters {
    return { sentBytes: this.#sentBytes };
  }

  /** Sends what a rank of this process writes. */
  attach(outbox: MessagePort): void {
    outbox.on('message', (piece: OutgoingPiece) => {
      const slot = this.#slot(piece.rank, piece.piece);
      this.#send(piece, slot.subarray(0, piece.numBytes), null);
    });
  }

  /** A piece from another process. */
  receive(from: FrameLink, body: Uint8Array): void {
    const view = new DataView(body.buffer, body.byteOffset, HEADER_BYTES);
    const [rank, piece, step, tensor, isForRoot, numBytes] = Array.from({ length: 6 }, (_, i) => view.getInt32(4 * i, true)) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const payload = body.subarray(HEADER_BYTES);
    const index = (piece - 1) & 1;
    const line = rank * BOARD_INTS;
    this.#slot(rank, piece).set(payload);
    this.#board[line + BOARD.step + index] = step;
    this.#board[line + BOARD.tensor + index] = tensor;
    Atomics.store(this.#board, line + BOARD.pieces, piece);
    Atomics.notify(this.#board, line + BOARD.pieces);
    if (this.#isRootHere && this.#links.length > 1) {
      // The slot is this rank's until everyone has read it; the receive buffer is not.
      const slot = this.#slot(rank, piece).subarray(0, payload.length);
      this.#send({ rank, piece, step, tensor, isForRoot: isForRoot === 1, numBytes }, slot, from);
    }
  }

  #send(piece: OutgoingPiece, payload: Uint8Array, except: FrameLink | null): void {
    const header = new DataView(new ArrayBuffer(HEADER_BYTES));
    // What only rank 0 wants goes to its process; the others just learn that it is there.
    const isWanted = !(piece.isForRoot && this.#isRootHere);
    const fields = [piece.rank, piece.piece, piece.step, piece.tensor, piece.isForRoot ? 1 : 0, isWanted ? payload.length : 0];
    for (const [i, field] of fields.entries()) header.setInt32(4 * i, field, true);
    const head = new Uint8Array(header.buffer);
    for (const link of this.#links) {
      if (link === except) continue;
      if (isWanted && payload.length > 0) link.send(FRAME.piece, head, payload);
      else link.send(FRAME.piece, head);
      this.#sentBytes += HEADER_BYTES + (isWanted ? payload.length : 0);
    }
  }

  #slot(rank: number, piece: number): Uint8Array {
    const { slotBytes } = this.#memory;
    const begin = (rank * 2 + ((piece - 1) & 1)) * slotBytes;
    return this.#slots.subarray(begin, begin + slotBytes);
  }
}
