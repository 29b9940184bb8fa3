/**
 * How fast is node-llama-cpp on this machine? One round of the comparison in a process of its own:
 *   node node-llama-cpp.mjs '{"model": "x.gguf", "threads": 2, "contextLength": 512, "decodeSteps": 32, "prefillRepeats": 2}'
 * prints one line of JSON, [{ case, variant, tokensPerSecond }].
 *
 * Each case gets what suits llama.cpp best: a context with exactly as many sequences as the case needs, the prompt in one batch, all
 * threads for each evaluation, and both attention kernels (the variants), of which the comparison takes the faster one.
 * The sequences of a batch advance together, so that every evaluation holds one token of each; left to themselves they drift
 * apart and run in smaller batches, a third slower.
 */
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getLlama } from 'node-llama-cpp';

const { model: modelPath, threads, contextLength, decodeSteps, prefillRepeats } = JSON.parse(process.argv[2]);
const WARM_UP_STEPS = 4;
const FIRST_DECODED_ID = 300;
const VARIANTS = [
  { variant: 'flash attention', flashAttention: true },
  { variant: 'plain attention', flashAttention: false },
];

// `never` and `skipDownload`: only the prebuilt library that npm installed; nothing is fetched or compiled.
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, maxThreads: threads, logLevel: 'error' });
const model = await llama.loadModel({ modelPath });
const results = [];
for (const { variant, flashAttention } of VARIANTS) {
  const report = (name, tokensPerSecond) => results.push({ case: name, variant, tokensPerSecond });
  report(`prefill-${contextLength}`, await measurePrefill(flashAttention));
  report('decode-1', await measureDecode(flashAttention, 1));
  report('decode-8', await measureDecode(flashAttention, 8));
}
await model.dispose();
await llama.dispose();
console.log(JSON.stringify(results));

/** Prompt tokens per second up to the first sampled token: the median of the repeats after a warm-up. */
async function measurePrefill(flashAttention) {
  const context = await createContext(flashAttention, 1);
  const sequence = context.getSequence();
  const seconds = [];
  for (let repeat = -1; repeat < prefillRepeats; repeat++) {
    await sequence.clearHistory();
    const started = performance.now();
    const tokens = sampleTokens(sequence, prompt());
    await tokens.next();
    if (repeat >= 0) seconds.push((performance.now() - started) / 1000);
    await tokens.return();
  }
  await context.dispose();
  return contextLength / median(seconds);
}

/** Sampled tokens per second of `numSequences` sequences together, from `contextLength` tokens of context on. */
async function measureDecode(flashAttention, numSequences) {
  const context = await createContext(flashAttention, numSequences);
  const sequences = Array.from({ length: numSequences }, () => context.getSequence());
  await fillContexts(sequences);
  const streams = sequences.map((sequence, index) => sampleTokens(sequence, [FIRST_DECODED_ID + index]));
  const step = () => Promise.all(streams.map((tokens) => tokens.next()));
  for (let count = 0; count < WARM_UP_STEPS; count++) await step();
  const started = performance.now();
  for (let count = 0; count < decodeSteps; count++) await step();
  const seconds = (performance.now() - started) / 1000;
  await context.dispose();
  return (numSequences * decodeSteps) / seconds;
}

/** One prefill, copied to the other sequences through a file: what they hold makes no difference to the speed. */
async function fillContexts([first, ...others]) {
  await first.evaluateWithoutGeneratingNewTokens(prompt());
  if (others.length === 0) return;
  const file = join(tmpdir(), `troupe-bench-${process.pid}.state`);
  try {
    await first.saveStateToFile(file);
    for (const sequence of others) await sequence.loadStateFromFile(file, { acceptRisk: true });
  } finally {
    rmSync(file, { force: true });
  }
}

function createContext(flashAttention, sequences) {
  return model.createContext({
    sequences,
    contextSize: contextLength + WARM_UP_STEPS + decodeSteps + 8,
    batchSize: contextLength,
    threads: { ideal: threads, min: threads },
    flashAttention,
  });
}

function prompt() {
  return Array.from({ length: contextLength }, (_, index) => 300 + ((index * 37) % 200));
}

/** Evaluates `tokens` with the first `next`, then the token sampled before; each `next` samples one token greedily. */
function sampleTokens(sequence, tokens) {
  return sequence.evaluate(tokens, { temperature: 0, yieldEogToken: true });
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
