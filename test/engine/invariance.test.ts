/**
 * What a request says depends on nothing but itself: not on its neighbours, the chunks of its prefill, what the cache held, how little
 * memory there was, or which engine began it. Random workloads, each from its own fixed seed, against every request run alone.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SamplingParams } from '../../src/core/sampling-params.ts';
import type { EngineRequest } from '../../src/engine/request.ts';
import { type EngineKnobs, makeEngine, makeRequest, run, runToEnd, Texts } from '../support/engine-factory.ts';
import { type Random, seededRandom } from '../support/seeded-random.ts';

const VOCAB_SIZE = 32;
const NUM_WORKLOADS = 12;
const SYSTEM_PROMPT = Array.from({ length: 21 }, (_, i) => (i * 5 + 2) % VOCAB_SIZE);

/** Sixteen requests: half greedy, many sharing a system prompt, some of several choices, with penalties, stops and priorities. */
function makeWorkload(random: Random): EngineRequest[] {
  return Array.from({ length: 16 }, (_, index) => {
    const ownIds = Array.from({ length: 1 + random.below(40) }, () => random.below(VOCAB_SIZE));
    return makeRequest({
      key: `r${index}`,
      promptIds: random.below(2) ? [...SYSTEM_PROMPT, ...ownIds] : ownIds,
      seed: BigInt(random.below(1000)),
      priority: random.below(3) - 1,
      cacheSalt: random.below(4) ? '' : 'other',
      choices: Array.from({ length: 1 + (random.below(4) ? 0 : random.below(3)) }, (_, choice) => ({
        index: choice,
        outputIds: [],
        finished: false,
      })),
      params: randomParams(random),
    });
  });
}

function randomParams(random: Random): Partial<SamplingParams> {
  const oneIn = (n: number, params: Partial<SamplingParams>): Partial<SamplingParams> => (random.below(n) === 0 ? params : {});
  return {
    maxTokens: 1 + random.below(40),
    ...oneIn(2, { temperature: 0.3 + random.below(10) / 5, topP: 0.9, topK: random.below(20) }),
    ...oneIn(4, { repetitionPenalty: 1.3, presencePenalty: 0.5, frequencyPenalty: 0.2 }),
    ...oneIn(4, { stopTokenIds: [random.below(VOCAB_SIZE)], minTokens: random.below(5) }),
    ...oneIn(6, { badWords: [[random.below(VOCAB_SIZE)], [3, 4]] }),
    ...oneIn(6, { logprobs: random.below(3) }),
  };
}

/** What each choice says when its request runs alone, whole prompt in one step, no cache, plenty of memory. */
function runAlone(requests: readonly EngineRequest[]): Map<string, string> {
  const said = new Map<string, string>();
  for (const request of requests) {
    for (const choice of request.choices) {
      const { engine } = makeEngine({ numBlocks: 1000, maxNumBatchedTokens: 1000, enablePrefixCaching: false, maxNumSeqs: 1 });
      const texts = run(engine, [{ ...request, choices: [choice] }]);
      said.set(
        `${request.key}/${choice.index}`,
        JSON.stringify([texts.of(request, choice.index).ids, texts.of(request, choice.index).finish]),
      );
    }
  }
  return said;
}

function assertSame(texts: Texts, expected: ReadonlyMap<string, string>): void {
  assert.equal(texts.byName.size, expected.size);
  for (const [name, text] of texts.byName) assert.equal(JSON.stringify([text.ids, text.finish]), expected.get(name), name);
}

const workloads = Array.from({ length: NUM_WORKLOADS }, (_, index) => {
  const requests = makeWorkload(seededRandom(index));
  return { requests, expected: runAlone(requests) };
});

const SCENARIOS: readonly (readonly [title: string, knobs: EngineKnobs])[] = [
  ['together', {}],
  ['together in many rows', { maxNumSeqs: 32, numBlocks: 1000, maxNumBatchedTokens: 1000 }],
  ['one after the other', { maxNumSeqs: 1 }],
  ['with a budget of 1 token', { maxNumBatchedTokens: 1 }],
  ['with a budget of 5 tokens', { maxNumBatchedTokens: 5 }],
  ['with a budget of 16 tokens', { maxNumBatchedTokens: 16 }],
  ['with a budget of 1000 tokens', { maxNumBatchedTokens: 1000 }],
  ['without chunked prefill', { enableChunkedPrefill: false, maxNumBatchedTokens: 24 }],
  ['without the prefix cache', { enablePrefixCaching: false }],
  ['on a runner that cannot copy blocks', { script: { canCopyBlocks: false } }],
  ['with a pool of 3 blocks', { numPoolBlocks: 3 }],
  ['with blocks of 1 token', { blockSize: 1, numBlocks: 512 }],
  ['with so little memory that sequences preempt each other', { numBlocks: 27, maxNumSeqs: 8 }],
  [
    'with little memory, chunks of 7 and no prefix cache',
    { numBlocks: 27, maxNumSeqs: 8, maxNumBatchedTokens: 7, enablePrefixCaching: false },
  ],
  ['with little memory and many rows', { numBlocks: 40, maxNumSeqs: 32, maxNumBatchedTokens: 13 }],
];

for (const [title, knobs] of SCENARIOS) {
  test(`a workload says the same ${title}`, () => {
    for (const { requests, expected } of workloads) assertSame(run(makeEngine(knobs).engine, requests), expected);
  });
}

test('the scenarios do what they are named for', () => {
  let numPreemptions = 0;
  let numHitTokens = 0;
  const numOps = { copyBlocks: 0, moveRow: 0, release: 0, releaseBlocks: 0 };
  for (const { requests } of workloads) {
    const { engine, runner } = makeEngine({ numBlocks: 27, maxNumSeqs: 8 });
    run(engine, requests);
    numPreemptions += engine.stats().numPreemptions;
    numHitTokens += engine.stats().prefixCacheHitTokens;
    for (const op of runner.steps.flatMap((step) => step.kvOps)) numOps[op.type]++;
  }
  assert.ok(numPreemptions > 3 * NUM_WORKLOADS, `${numPreemptions} preemptions`);
  assert.ok(numHitTokens > 50 * NUM_WORKLOADS, `${numHitTokens} tokens from the cache`);
  for (const [type, count] of Object.entries(numOps)) assert.ok(count > NUM_WORKLOADS, `${count} of ${type}`);
});

test('a workload says the same when it comes again and finds its prefixes cached', () => {
  for (const { requests, expected } of workloads) {
    const { engine } = makeEngine();
    run(engine, requests);
    const hitsBefore = engine.stats().prefixCacheHitTokens;
    assertSame(run(engine, requests), expected);
    assert.ok(engine.stats().prefixCacheHitTokens > hitsBefore);
  }
});

test('a workload says the same when requests arrive while others run', () => {
  for (const [index, { requests, expected }] of workloads.entries()) {
    const random = seededRandom(index + 100);
    const { engine } = makeEngine({ numBlocks: 50, maxNumSeqs: 6 });
    const texts = new Texts();
    for (const request of requests) {
      engine.addRequest(request);
      for (let numSteps = random.below(6); numSteps > 0; numSteps--) texts.take(engine.step());
    }
    assertSame(runToEnd(engine, texts), expected);
  }
});

test('a choice continued from any cut says the rest, also where others were aborted around it', () => {
  for (const [index, { requests, expected }] of workloads.entries()) {
    const random = seededRandom(index + 200);
    const whole = run(makeEngine().engine, requests);
    const continued = requests.map((request) => ({
      ...request,
      choices: request.choices.map((choice) => {
        const { ids } = whole.of(request, choice.index);
        return { ...choice, outputIds: ids.slice(0, random.below(ids.length + 1)) };
      }),
    }));
    const { engine } = makeEngine({ numBlocks: 40, maxNumSeqs: 8, maxNumBatchedTokens: 20 });
    const lost = Array.from({ length: 4 }, (_, i) =>
      makeRequest({ key: `lost${i}`, promptIds: SYSTEM_PROMPT, params: { maxTokens: 100 } }),
    );
    const texts = new Texts(continued);
    for (const request of [...lost, ...continued]) engine.addRequest(request);
    for (const request of lost) {
      for (let numSteps = random.below(5); numSteps > 0; numSteps--) texts.take(engine.step());
      engine.abort(request.key);
    }
    runToEnd(engine, texts);
    for (const request of lost) assert.equal(texts.of(request).finish, 'abort');
    for (const request of continued) {
      for (const choice of request.choices) {
        const text = texts.of(request, choice.index);
        const all = JSON.stringify([[...choice.outputIds, ...text.ids], text.finish]);
        assert.equal(all, expected.get(`${request.key}/${choice.index}`), `${request.key}/${choice.index} from ${choice.outputIds.length}`);
      }
    }
  }
});

test('requests aborted at any step give back all they held, and the others say the same', () => {
  for (const [index, { requests, expected }] of workloads.entries()) {
    const random = seededRandom(index + 300);
    const { engine, runner } = makeEngine({ numBlocks: 40, maxNumSeqs: 8, maxNumBatchedTokens: 20 });
    const texts = new Texts();
    const victims = new Set(requests.filter(() => random.below(3) === 0).map((request) => request.key));
    for (const request of requests) engine.addRequest(request);
    for (const key of victims) {
      for (let numSteps = random.below(8); numSteps > 0; numSteps--) texts.take(engine.step());
      engine.abort(key);
      engine.assertIntegrity();
    }
    runToEnd(engine, texts);
    for (const [name, text] of texts.byName) {
      const key = name.split('/')[0]!;
      const [ids, finish] = JSON.parse(expected.get(name)!) as [number[], string];
      if (text.finish === 'abort')
        assert.ok(victims.has(key) && JSON.stringify(ids.slice(0, text.ids.length)) === JSON.stringify(text.ids), name);
      else assert.deepEqual([text.ids, text.finish], [ids, finish], name);
    }
    assert.equal(runner.numResidentBlocks, engine.stats().numCachedBlocks, 'only the prefix cache is resident');
  }
});
