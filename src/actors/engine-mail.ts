/** What a frontend says to engines beside its requests: beats to all of them, replays and aborts to one. Whoever misses an effect asks again. */
import type { Epoch } from '../core/ids.ts';
import { encode } from '../transport/codec.ts';
import type { FrontendBeat, ToEngine } from '../transport/messages.ts';
import { engineControl, FRONTEND_BEATS } from '../transport/subjects.ts';
import type { Transport } from '../transport/transport.ts';
import type { EngineRef } from './directory.ts';

export interface EngineMailOptions {
  readonly frontendId: string;
  readonly epoch: Epoch;
  readonly transport: Transport;
}

/** Whose work is to stop: an attempt of a request, one choice of it or all (null). */
export interface AbortedWork {
  readonly slot: number;
  readonly attempt: number;
  readonly choice: number | null;
}

export class EngineMail {
  readonly #transport: Transport;
  readonly #sender: { readonly frontendId: string; readonly frontendEpoch: Epoch };

  constructor({ frontendId, epoch, transport }: EngineMailOptions) {
    this.#transport = transport;
    this.#sender = { frontendId, frontendEpoch: epoch };
  }

  beat(news: Pick<FrontendBeat, 'acks' | 'pause' | 'numOpen' | 'fenced' | 'held'>): void {
    const { peerId } = this.#transport;
    this.#transport.publish(FRONTEND_BEATS, encode({ type: 'frontendBeat', ...this.#sender, peerId, ...news }));
  }

  askReplay(engine: Pick<EngineRef, 'id' | 'epoch'>, fromFrameSeq: number): void {
    this.#send(engine, { type: 'replay', ...this.#sender, fromFrameSeq });
  }

  abort(engine: Pick<EngineRef, 'id' | 'epoch'>, work: AbortedWork): void {
    this.#send(engine, { type: 'abort', ...this.#sender, ...work });
  }

  hold(engine: Pick<EngineRef, 'id' | 'epoch'>, work: Pick<AbortedWork, 'slot' | 'attempt'>, isHeld: boolean): void {
    this.#send(engine, { type: 'hold', ...this.#sender, ...work, isHeld });
  }

  #send({ id, epoch }: Pick<EngineRef, 'id' | 'epoch'>, message: ToEngine): void {
    this.#transport.publish(engineControl(id, epoch), encode(message));
  }
}
