/**
 * Whether an engine group may go on under its epoch. Two things end that: the same engine was started again (the later start wins
 * everywhere, this one ends), or a frontend gave this one up as silent or stuck and fenced its epoch (it comes back under a new one).
 */
import { compareEpochs, type Epoch } from '../core/ids.ts';
import { decodeToEngine, decodeToFrontend } from '../transport/codec.ts';
import { ENGINE_BEATS, FRONTEND_BEATS } from '../transport/subjects.ts';
import type { Subscription, Transport } from '../transport/transport.ts';

export interface EpochGuardOptions {
  readonly engineId: string;
  /** The epoch that it goes by now. */
  readonly epoch: () => Epoch;
  readonly transport: Transport;
  readonly onSuperseded: (by: Epoch, peerId: string) => void;
  readonly onFenced: (frontendId: string) => void;
}

export class EpochGuard {
  readonly #options: EpochGuardOptions;
  readonly #subscriptions: readonly Subscription[];

  constructor(options: EpochGuardOptions) {
    this.#options = options;
    const { transport } = options;
    this.#subscriptions = [
      transport.subscribe(ENGINE_BEATS, ({ data }) => this.#heardEngine(data)),
      transport.subscribe(FRONTEND_BEATS, ({ data }) => this.#heardFrontend(data)),
    ];
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  #heardEngine(data: Uint8Array): void {
    const beat = readable(() => decodeToFrontend(data));
    const { engineId, epoch, onSuperseded } = this.#options;
    if (beat?.engineId === engineId && compareEpochs(beat.engineEpoch, epoch()) > 0) onSuperseded(beat.engineEpoch, beat.peerId);
  }

  #heardFrontend(data: Uint8Array): void {
    const beat = readable(() => decodeToEngine(data));
    if (beat?.type !== 'frontendBeat') return;
    const { engineId, epoch, onFenced } = this.#options;
    const isFenced = beat.fenced?.some((fence) => fence.engineId === engineId && compareEpochs(fence.engineEpoch, epoch()) >= 0);
    if (isFenced) onFenced(beat.frontendId);
  }
}

/** Null for what cannot be read: the desk counts those. */
function readable<T>(decode: () => T): T | null {
  try {
    return decode();
  } catch {
    return null;
  }
}
