/**
 * The way of tokens through a frontend: each engine step's frame is taken in its order (frame-intake.ts), and each entry finds the request
 * that waits for it. What nobody waits for is aborted.
 */
import type { Clock } from '../core/clock.ts';
import { compareEpochs, type Epoch } from '../core/ids.ts';
import type { EngineBeat, FrameEntry, FrontendBeat, StepFrame } from '../transport/messages.ts';
import { type EngineRef, engineKey } from './directory.ts';
import type { EngineMail } from './engine-mail.ts';
import { FrameIntake } from './frame-intake.ts';
import type { FrontendMetrics } from './frontend-metrics.ts';
import type { LiveRequest } from './live-request.ts';

export interface FrameDeliveryOptions {
  readonly frontendId: string;
  readonly epoch: Epoch;
  readonly clock: Clock;
  readonly mail: EngineMail;
  readonly metrics: FrontendMetrics;
  /** A later start of the engine is known, or this one was given up. */
  readonly isStale: (engineId: string, epoch: Epoch) => boolean;
  /** By slot. */
  readonly live: ReadonlyMap<number, LiveRequest>;
}

export class FrameDelivery {
  readonly #options: FrameDeliveryOptions;
  readonly #intake: FrameIntake;

  constructor(options: FrameDeliveryOptions) {
    const { clock, mail, metrics } = options;
    this.#options = options;
    this.#intake = new FrameIntake({
      clock,
      askReplay: (id, epoch, fromFrameSeq) => {
        metrics.countReplay();
        mail.askReplay({ id, epoch }, fromFrameSeq);
      },
      onUnrepairable: (id, epoch) => this.#framesLost(engineKey(id, epoch)),
    });
  }

  /** How far each engine's frames were taken: goes into this frontend's beats. */
  get acks(): FrontendBeat['acks'] {
    return this.#intake.acks();
  }

  /** One engine step's tokens for this frontend. */
  take([, id, epoch, frontendEpoch, frameSeq, , entries]: StepFrame): void {
    const isForUs = compareEpochs(frontendEpoch, this.#options.epoch) === 0 && !this.#options.isStale(id, epoch);
    const verdict = isForUs ? this.#intake.accept(id, epoch, frameSeq) : 'stale';
    if (verdict === 'stale') this.#options.metrics.countRefused('stale_epoch');
    if (verdict !== 'take') return;
    const engine = { id, epoch, key: engineKey(id, epoch) };
    for (const entry of entries) this.#takeEntry(entry, engine);
  }

  /** An engine's beat says how many frames there should have been. */
  heard(beat: EngineBeat): void {
    for (const { frontendId, frontendEpoch, frameSeq } of beat.frameSeqs) {
      if (frontendId !== this.#options.frontendId || compareEpochs(frontendEpoch, this.#options.epoch) !== 0) continue;
      this.#intake.noticed(beat.engineId, beat.engineEpoch, frameSeq);
    }
  }

  #takeEntry(entry: FrameEntry, engine: EngineRef): void {
    const [slot, attempt, choice, , , finish] = entry;
    const { live: requests, mail } = this.#options;
    const live = requests.get(slot);
    const at = live?.assignment;
    const isAwaited = live && at && at.attempt === attempt && at.engine.key === engine.key;
    if (isAwaited && !live.isFinished(choice)) live.take(entry);
    // Nobody waits for this any more: the abort that said so was lost, or is on its way.
    else if (finish === null) mail.abort(engine, { slot, attempt, choice: isAwaited ? choice : null });
  }

  /** The engine lives, but frames it no longer holds never arrived: its requests go on from the journal. */
  #framesLost(key: string): void {
    const { live: requests, mail } = this.#options;
    for (const live of [...requests.values()]) {
      const at = live.assignment;
      if (at?.engine.key !== key) continue;
      mail.abort(at.engine, { slot: live.slot, attempt: at.attempt, choice: null });
      live.lose(false, 'frames were lost');
    }
  }
}
