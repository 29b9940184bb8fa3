/**
 * troupe's side of one round of the comparison, in a process of its own:
 *   node --import tsx bench/compare-troupe.ts '{"model": DIR, "quantization": "wint4", "threads": 2, "contextLength": 512, …}'
 * prints one line of JSON, [{ case, variant, tokensPerSecond }]. What it measures is what rivals/node-llama-cpp.mjs measures:
 * prompt to first token, and greedy tokens per second of sequences that stand at `contextLength`, sampling included.
 */
import type { Engine } from '../src/engine/engine.ts';
import type { RoundRequest, RoundResult } from './compare-round.ts';
import { runBench } from './flags.ts';
import { addRequest, benchRequest, openEngine } from './open-engine.ts';
import { randomWorkload, seededRandom } from './random-workload.ts';
import { median } from './statistics.ts';

const WARM_UP_STEPS = 4;
const MAX_BATCH = 8;

await runBench(async ([text]) => {
  const round = JSON.parse(text!) as RoundRequest;
  const opened = openEngine({
    modelDir: round.model,
    quantization: round.quantization,
    device: 'cpu',
    threads: round.threads,
    maxNumSeqs: MAX_BATCH,
    maxModelLen: round.contextLength + WARM_UP_STEPS + round.decodeSteps + 128,
  });
  const prompts = randomPrompts(round.contextLength, opened.runner.vocabSize);
  const results: RoundResult[] = [
    { case: 'prefill-512', variant: 'engine', tokensPerSecond: measurePrefill(opened.engine, prompts, round) },
    { case: 'decode-1', variant: 'engine', tokensPerSecond: measureDecode(opened.engine, prompts, round, 1) },
    { case: 'decode-8', variant: 'engine', tokensPerSecond: measureDecode(opened.engine, prompts, round, MAX_BATCH) },
  ];
  opened.runner.close();
  console.log(JSON.stringify(results));
});

/** Prompt tokens per second up to the first sampled token: the median of the repeats after a warm-up. */
function measurePrefill(engine: Engine, prompts: Prompts, round: RoundRequest): number {
  const seconds: number[] = [];
  for (let repeat = -1; repeat < round.prefillRepeats; repeat++) {
    addRequest(engine, benchRequest(`prefill${repeat}`, prompts(), 1, ''));
    const startedMs = performance.now();
    let tokens = 0;
    while (tokens === 0) tokens = countTokens(engine.step().outputs);
    if (repeat >= 0) seconds.push((performance.now() - startedMs) / 1000);
    while (engine.hasWork) engine.step();
  }
  return round.contextLength / median(seconds);
}

/** Sampled tokens per second of `numSequences` sequences together, from `contextLength` tokens of context on. */
function measureDecode(engine: Engine, prompts: Prompts, round: RoundRequest, numSequences: number): number {
  const keys = Array.from({ length: numSequences }, (_, index) => `decode${numSequences}-${index}`);
  for (const key of keys) addRequest(engine, benchRequest(key, prompts(), Number.MAX_SAFE_INTEGER, ''));
  const started = new Set<string>();
  while (started.size < numSequences) for (const output of engine.step().outputs) if (output.ids.length > 0) started.add(output.key);
  for (let count = 0; count < WARM_UP_STEPS; count++) engine.step();
  const startedMs = performance.now();
  let tokens = 0;
  for (let count = 0; count < round.decodeSteps; count++) tokens += countTokens(engine.step().outputs);
  const seconds = (performance.now() - startedMs) / 1000;
  for (const key of keys) engine.abort(key);
  while (engine.hasWork) engine.step();
  return tokens / seconds;
}

type Prompts = () => readonly number[];

/** Each call gives another prompt, so that none is found in the prefix cache. */
function randomPrompts(inputLen: number, vocabSize: number): Prompts {
  const random = seededRandom(1);
  return () => randomWorkload({ numPrompts: 1, inputLen, outputLen: 1, rangeRatio: 0, prefixLen: 0, vocabSize }, random)[0]!.promptIds;
}

function countTokens(outputs: readonly { readonly ids: readonly number[] }[]): number {
  return outputs.reduce((sum, output) => sum + output.ids.length, 0);
}
