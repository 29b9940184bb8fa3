/**
 * The rank thread's loop: inbox → engine → outbox, one engine step a turn. Synchronous, so that it reads like the engine it drives;
 * adds and aborts take effect at step borders. The thread around it is rank-worker.ts; tests call `runOnce` themselves.
 */
import type { KvChanges } from '../engine/kv/kv-events.ts';
import type { AddResult, EngineRequest, EngineStats, SequenceOutput } from '../engine/request.ts';
import type { SequenceFlow } from '../engine/sequence.ts';
import type { ToRank, Turn } from './rank-port.ts';

/** One step's part of a turn. */
interface StepReport {
  readonly stepId: number;
  readonly outputs: readonly SequenceOutput[];
  readonly errors: readonly Error[];
}

/** What the loop needs of engine/engine.ts. */
export interface SteppedEngine {
  addRequest(request: EngineRequest): AddResult;
  abort(key: string, choice?: number): void;
  setFlow(key: string, flow: SequenceFlow): void;
  /** Frozen: nothing is computed, aborts take effect. */
  setFrozen(isFrozen: boolean): void;
  readonly hasWork: boolean;
  step(): StepReport;
  stats(): EngineStats;
  takeKvEvents?(): KvChanges | null;
}

export class EngineLoop {
  readonly #engine: SteppedEngine;
  #isStopped = false;
  #stepId = 0;
  #freezeRevision: number | null = null;
  #numTaken = 0;

  constructor(engine: SteppedEngine) {
    this.#engine = engine;
  }

  /** Whether a turn without messages would compute something; otherwise the thread may sleep until it is woken. */
  get hasWork(): boolean {
    return !this.#isStopped && this.#engine.hasWork;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** One turn. Null when there is nothing to tell. @throws RunnerError when the step failed; the group cannot go on. */
  runOnce(inbox: readonly ToRank[]): Turn | null {
    this.#numTaken += inbox.length;
    const answers: { tag: number; result: AddResult }[] = [];
    for (const message of inbox) {
      if (message.type === 'add') answers.push({ tag: message.tag, result: this.#add(message.request) });
      else if (message.type === 'abort') this.#engine.abort(message.key, message.choice ?? undefined);
      else if (message.type === 'flow') this.#engine.setFlow(message.key, message.flow);
      else if (message.type === 'freeze') this.#freeze(message.isFrozen, message.revision);
      else this.#isStopped = true;
    }
    if (inbox.length === 0 && !this.hasWork) return null;
    const { stepId, outputs, errors } = this.hasWork ? this.#engine.step() : { stepId: this.#stepId, outputs: [], errors: [] };
    this.#stepId = stepId;
    const kv = this.#engine.takeKvEvents?.() ?? null;
    return {
      stepId,
      answers,
      outputs,
      errors: errors.map((error) => error.message),
      stats: this.#engine.stats(),
      hasWork: this.hasWork,
      numTaken: this.#numTaken,
      ...(kv && { kv }),
      ...(this.#freezeRevision !== null && { freezeRevision: this.#freezeRevision }),
    };
  }

  #freeze(isFrozen: boolean, revision: number): void {
    this.#engine.setFrozen(isFrozen);
    this.#freezeRevision = revision;
  }

  #add(request: Extract<ToRank, { type: 'add' }>['request']): AddResult {
    return this.#engine.addRequest({ ...request, promptIds: Array.from(request.promptIds) });
  }
}
