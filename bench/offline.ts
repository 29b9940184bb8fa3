/**
 * How fast is the engine alone, without server, processes and HTTP? Random prompts in two passes:
 * prefill only (one output token each), then all requests together to their full output length.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Command, integer, number, oneOf, readFlags, runBench, text, UsageError } from './flags.ts';
import type { StepMeasure } from './metered-runner.ts';
import { addRequest, benchRequest, type OpenEngine, openEngine } from './open-engine.ts';
import { randomWorkload, seededRandom, type WorkloadRequest } from './random-workload.ts';
import { shapeNamed } from './shapes.ts';
import { formatNumber, formatTable } from './table.ts';
import { ensureCheckpoint } from './write-checkpoint.ts';

const EMBEDDED_MODEL = fileURLToPath(new URL('../models/troupe-mini', import.meta.url));

const FLAGS = {
  model: text(null, 'DIR', 'Checkpoint folder. Default: the embedded troupe-mini.'),
  shape: text(null, 'NAME', 'Random weights of this shape instead (bench/shapes.ts).'),
  quantization: oneOf(['none', 'wint8', 'wint4'], 'none', 'Weight-only quantisation.'),
  device: oneOf(['cpu', 'webgpu', 'cuda'], 'cpu', 'Where the model runs.'),
  threads: integer(availableParallelism(), 'Threads of the engine.'),
  'input-len': integer(512, 'Prompt tokens of each request.'),
  'output-len': integer(128, 'Output tokens of each request.', 2),
  'num-prompts': integer(16, 'Requests in all.'),
  'range-ratio': number(0, 'Lengths vary evenly by ± this share.'),
  'max-num-seqs': integer(32, 'Sequences that run together.'),
  'max-num-batched-tokens': integer(0, "Token budget of a step. Default (0): the server's.", 0),
  seed: integer(0, 'Of prompts and lengths.', 0),
  json: text(null, 'FILE', 'Also write the figures there.'),
};

const COMMAND: Command<typeof FLAGS> = {
  usage: 'npm run bench:offline --',
  question: 'How fast is the engine alone, without server, processes and HTTP?',
  flags: FLAGS,
};

await runBench(async (argv) => {
  const { flags } = readFlags(COMMAND, argv);
  if (flags['range-ratio'] >= 1) throw new UsageError('--range-ratio must be below 1.');
  const budget = flags['max-num-batched-tokens'];
  const opened = openEngine({
    modelDir: flags.shape === null ? (flags.model ?? EMBEDDED_MODEL) : ensureCheckpoint(shapeNamed(flags.shape)),
    quantization: flags.quantization,
    device: flags.device,
    threads: flags.threads,
    maxNumSeqs: flags['max-num-seqs'],
    maxModelLen: Math.ceil((flags['input-len'] + flags['output-len']) * (1 + flags['range-ratio'])),
    ...(budget === 0 ? {} : { maxNumBatchedTokens: budget }),
  });
  const workload = randomWorkload(
    {
      numPrompts: flags['num-prompts'],
      inputLen: flags['input-len'],
      outputLen: flags['output-len'],
      rangeRatio: flags['range-ratio'],
      prefixLen: 0,
      vocabSize: opened.runner.vocabSize,
    },
    seededRandom(flags.seed),
  );
  runPass(opened, workload.slice(0, 1), 'warm-up', (request) => request.outputLen);
  const prefill = runPass(opened, workload, 'prefill', () => 1);
  const whole = runPass(opened, workload, 'whole', (request) => request.outputLen);
  const report = summarizePasses(opened, workload, prefill, whole);
  print(report);
  if (flags.json !== null) writeFileSync(flags.json, `${JSON.stringify({ ...flags, ...report }, null, 2)}\n`);
  opened.runner.close();
});

interface Pass {
  readonly seconds: number;
  readonly steps: readonly StepMeasure[];
  readonly outputTokens: number;
}

/** Runs the requests to their end; each pass has a cache salt of its own, so that none finds its prompts in the prefix cache. */
function runPass(
  { engine, runner }: OpenEngine,
  workload: readonly WorkloadRequest[],
  name: string,
  maxTokens: (request: WorkloadRequest) => number,
): Pass {
  runner.steps = [];
  let outputTokens = 0;
  const startedMs = performance.now();
  for (const [index, request] of workload.entries())
    addRequest(engine, benchRequest(`${name}-${index}`, request.promptIds, maxTokens(request), name));
  while (engine.hasWork) for (const output of engine.step().outputs) outputTokens += output.ids.length;
  return { seconds: (performance.now() - startedMs) / 1000, steps: runner.steps, outputTokens };
}

/** Keys as in `vllm bench throughput --output-json` where it has the figure. */
function summarizePasses(opened: OpenEngine, workload: readonly WorkloadRequest[], prefill: Pass, whole: Pass) {
  const promptTokens = workload.reduce((sum, request) => sum + request.promptIds.length, 0);
  const decodeSteps = whole.steps.filter((step) => step.prefillTokens === 0 && step.decodeTokens > 0);
  const decodeTokens = decodeSteps.reduce((sum, step) => sum + step.decodeTokens, 0);
  const decodeSeconds = decodeSteps.reduce((sum, step) => sum + step.seconds, 0);
  const runnerSeconds = whole.steps.reduce((sum, step) => sum + step.seconds, 0);
  return {
    load_seconds: opened.loadSeconds,
    num_requests: workload.length,
    total_input_tokens: promptTokens,
    total_output_tokens: whole.outputTokens,
    /** Prompt tokens per second while nothing decodes. */
    prefill_tokens_per_second: promptTokens / prefill.seconds,
    /** Output tokens per second over the steps without prefill, and how many sequences those held on average. */
    decode_tokens_per_second: decodeTokens / decodeSeconds,
    mean_decode_batch: decodeTokens / decodeSteps.length,
    elapsed_time: whole.seconds,
    requests_per_second: workload.length / whole.seconds,
    output_tokens_per_second: whole.outputTokens / whole.seconds,
    tokens_per_second: (promptTokens + whole.outputTokens) / whole.seconds,
    /** Share of the time outside the model runner: scheduler, sampler, bookkeeping. */
    engine_share: 1 - runnerSeconds / whole.seconds,
  };
}

function print(report: ReturnType<typeof summarizePasses>): void {
  const rows = [
    ['Load (s)', formatNumber(report.load_seconds)],
    ['Requests', String(report.num_requests)],
    ['Prompt / output tokens', `${report.total_input_tokens} / ${report.total_output_tokens}`],
    ['Prefill alone (tokens/s)', formatNumber(report.prefill_tokens_per_second)],
    [`Decode, ${formatNumber(report.mean_decode_batch)} sequences a step (tokens/s)`, formatNumber(report.decode_tokens_per_second)],
    ['All together: seconds', formatNumber(report.elapsed_time)],
    ['All together: requests/s', formatNumber(report.requests_per_second)],
    ['All together: output tokens/s', formatNumber(report.output_tokens_per_second)],
    ['All together: prompt and output tokens/s', formatNumber(report.tokens_per_second)],
    ['Time outside the model runner', `${formatNumber(100 * report.engine_share)} %`],
  ];
  console.log(formatTable(['', 'value'], rows));
}
