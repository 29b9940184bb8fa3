/** Engines and requests with every knob defaulted: a test names only what it is about. */
import assert from 'node:assert/strict';
import type { FinishReason } from '../../src/core/generation.ts';
import { GREEDY, type SamplingParams } from '../../src/core/sampling-params.ts';
import { Engine, type EngineOptions } from '../../src/engine/engine.ts';
import type { EngineRequest, SequenceOutput } from '../../src/engine/request.ts';
import type { StepReport } from '../../src/engine/step-report.ts';
import { ScriptedRunner, type ScriptedRunnerOptions } from './scripted-runner.ts';

export interface EngineKnobs extends Partial<Omit<EngineOptions, 'runner' | 'clock'>> {
  readonly script?: Omit<ScriptedRunnerOptions, 'maxNumSeqs' | 'maxModelLen' | 'blockSize' | 'numBlocks'>;
}

/** A step takes this long on the test's clock. */
export const STEP_MS = 10;

/** An engine over a ScriptedRunner of the same sizes: 4 rows of 256, blocks of 4, 128 of them, everything enabled. */
export function makeEngine(knobs: EngineKnobs = {}): { readonly engine: Engine; readonly runner: ScriptedRunner } {
  const { script, ...overrides } = knobs;
  const sizes = { maxNumSeqs: 4, maxModelLen: 256, blockSize: 4, numBlocks: 128, ...overrides };
  let nowMs = 0;
  const runner = new ScriptedRunner({
    ...sizes,
    ...script,
    onSubmit: (step) => {
      nowMs += STEP_MS;
      script?.onSubmit?.(step);
    },
  });
  const engine = new Engine({
    runner,
    groupEpoch: [1, 1],
    maxNumBatchedTokens: 64,
    enablePrefixCaching: true,
    enableChunkedPrefill: true,
    maxNumWaiting: 1000,
    fingerprint: 'test',
    clock: { monotonic: () => nowMs },
    ...sizes,
  });
  return { engine, runner };
}

let numRequests = 0;

/** One greedy choice of eight tokens. */
export function makeRequest(
  overrides: Partial<Omit<EngineRequest, 'params'>> & { readonly params?: Partial<SamplingParams> } = {},
): EngineRequest {
  const { params, ...rest } = overrides;
  return {
    key: `request-${numRequests++}`,
    promptIds: [1, 2, 3, 4, 5],
    seed: 7n,
    choices: [{ index: 0, outputIds: [], finished: false }],
    cacheSalt: '',
    priority: 0,
    ...rest,
    params: { ...GREEDY, maxTokens: 8, ...params },
  };
}

/** Choices 0 … n-1, all from the start. */
export const choices = (n: number): EngineRequest['choices'] =>
  Array.from({ length: n }, (_, index) => ({ index, outputIds: [], finished: false }));

export interface FinishedText {
  readonly ids: number[];
  readonly outputs: SequenceOutput[];
  finish: FinishReason | null;
}

/** Gathers what reports say, by `key/choice`, and asserts that every output continues its text where it stopped. */
export class Texts {
  readonly byName = new Map<string, FinishedText>();
  readonly #firstIndex: ReadonlyMap<string, number>;

  /** @param requests for continuations: where their choices begin. */
  constructor(requests: readonly EngineRequest[] = []) {
    this.#firstIndex = new Map(
      requests.flatMap((request) => request.choices.map((choice) => [`${request.key}/${choice.index}`, choice.outputIds.length] as const)),
    );
  }

  take(report: StepReport): void {
    for (const output of report.outputs) {
      const name = `${output.key}/${output.choice}`;
      const text = this.byName.get(name) ?? { ids: [], outputs: [], finish: null };
      this.byName.set(name, text);
      assert.equal(text.finish, null, `${name} goes on after its end`);
      assert.equal(output.firstIndex, (this.#firstIndex.get(name) ?? 0) + text.ids.length, `${name}: firstIndex`);
      text.ids.push(...output.ids);
      text.outputs.push(output);
      text.finish = output.finish;
    }
  }

  of(request: EngineRequest, choice = 0): FinishedText {
    const text = this.byName.get(`${request.key}/${choice}`);
    assert.ok(text, `${request.key}/${choice} has no output`);
    return text;
  }
}

/** Adds the requests, then steps until there is nothing to do; checks the accounts after each step. */
export function run(engine: Engine, requests: readonly EngineRequest[]): Texts {
  for (const request of requests) assert.equal(engine.addRequest(request).type, 'ack');
  return runToEnd(engine, new Texts(requests));
}

/** Steps until there is nothing to do. A thousand steps without an output are taken for a dead lock. */
export function runToEnd(engine: Engine, texts = new Texts()): Texts {
  let numSilentSteps = 0;
  while (engine.hasWork) {
    const report = engine.step();
    texts.take(report);
    engine.assertIntegrity();
    numSilentSteps = report.outputs.length > 0 ? 0 : numSilentSteps + 1;
    assert.ok(numSilentSteps < 1000, 'the engine has work and does none');
  }
  const { numUsedBlocks, numRunning, numWaiting } = engine.stats();
  assert.deepEqual({ numUsedBlocks, numRunning, numWaiting }, { numUsedBlocks: 0, numRunning: 0, numWaiting: 0 }, 'idle');
  return texts;
}
