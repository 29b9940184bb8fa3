/**
 * How fast is node-llama-cpp on this machine? One round of the comparison in a process of its own:
 *   node node-llama-cpp.mjs '{"model": "x.gguf", "threads": 2, "contextLength": 512, "decodeSteps": 32, "prefillRepeats": 2}'
 * prints one line of JSON, [{ case, variant, tokensPerSecond }].
 *
 * Each case gets what suits llama.cpp best: a context with exactly as many sequences as the case needs, the prompt in one batch, all
 * threads for each evaluation, and both attention kernels (the variants), of which the comparison takes the faster one.
 * The sequences of a batch advance together, so that every evaluation holds one token of each.
 */
import { getLlama } from 'node-llama-cpp';

const { model: modelPath, threads, contextLength, decodeSteps, prefillRepeats } = JSON.parse(process.argv[2]);
const WARM_UP_STEPS = 4;
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
    const tokens = sampleTokens(sequence, repeat + 1);
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
  const sequences = Array.from({ length: numSequences }, (_, index) => sampleTokens(context.getSequence(), index));
  for (const tokens of sequences) await tokens.next();
  const step = () => Promise.all(sequences.map((tokens) => tokens.next()));
  for (let count = 0; count < WARM_UP_STEPS; count++) await step();
  const started = performance.now();
  for (let count = 0; count < decodeSteps; count++) await step();
  const seconds = (performance.now() - started) / 1000;
  await context.dispose();
  return (numSequences * decodeSteps) / seconds;
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

/** Evaluates the prompt with the first `next`, then one greedy token each. */
function sampleTokens(sequence, salt) {
  const prompt = Array.from({ length: contextLength }, (_, index) => 300 + ((index * 37 + salt * 101) % 200));
  return sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true });
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
