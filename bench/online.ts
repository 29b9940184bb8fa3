/**
 * How fast does a server answer a crowd? Open loop: requests arrive as a Poisson process whether or not earlier ones are done.
 * Reports throughput, TTFT, TPOT, ITL, E2EL and goodput as `vllm bench serve` defines them, token counts from the server's usage.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, integer, number, oneOf, readFlags, runBench, text, toggle, UsageError } from './flags.ts';
import { latencyGoals } from './latency-goals.ts';
import { printOnline, toVllmJson } from './online-report.ts';
import { runOpenLoop } from './open-loop.ts';
import { poissonArrivals, randomWorkload, seededRandom, type WorkloadRequest } from './random-workload.ts';
import { measureRun } from './request-metrics.ts';
import { shapeNamed } from './shapes.ts';
import { type SpawnedServer, spawnServer } from './spawned-server.ts';
import { getJson, streamRequest } from './streaming-client.ts';
import { ensureCheckpoint } from './write-checkpoint.ts';

const EMBEDDED_MODEL = fileURLToPath(new URL('../models/troupe-mini', import.meta.url));

const FLAGS = {
  'base-url': text(null, 'URL', 'Measure this running server; without it one is started for --model or --shape and stopped again.'),
  model: text(null, 'DIR', 'Checkpoint folder for the server that is started. Default: the embedded troupe-mini.'),
  shape: text(null, 'NAME', 'Start the server with random weights of this shape instead (bench/shapes.ts).'),
  quantization: oneOf(['none', 'wint8', 'wint4'], 'none', 'Weights of the server that is started.'),
  'request-model': text(null, 'NAME', "The requests' `model`. Default: the first of /v1/models."),
  endpoint: oneOf(['completions', 'chat'], 'completions', 'completions: prompts are token ids of exact length; chat: random words.'),
  'num-prompts': integer(100, 'Requests in all.'),
  'request-rate': number(Number.POSITIVE_INFINITY, 'Arrivals per second; inf = all at once.', 1e-6),
  'max-concurrency': number(Number.POSITIVE_INFINITY, 'Requests under way at most; the others wait in the client.', 1),
  'input-len': integer(128, 'Prompt tokens of each request.'),
  'output-len': integer(128, 'Output tokens of each request (end-of-sequence tokens are ignored).'),
  'range-ratio': number(0, 'Lengths vary evenly by ± this share.'),
  'prefix-len': integer(0, 'Tokens that all prompts share in front, on top of --input-len.', 0),
  'vocab-size': integer(0, "Prompt ids are drawn below this. Default (0): from the model's config.json, else 1000.", 0),
  temperature: number(0, 'Sampling temperature.'),
  'num-warmups': integer(1, 'Requests before the measurement.', 0),
  goodput: latencyGoals,
  seed: integer(0, 'Of prompts, lengths and arrivals.', 0),
  'ready-timeout': number(600, 'Seconds that the started server may take to load.'),
  json: text(null, 'FILE', 'Also write the figures there, keys as in `vllm bench serve --save-result`.'),
  'print-errors': toggle('Print the error of each failed request.'),
};

const COMMAND: Command<typeof FLAGS> = {
  usage: 'npm run bench:online --',
  question: 'How fast does a server answer a crowd? Open-loop load on an OpenAI-compatible server.',
  flags: FLAGS,
  rest: 'Further flags for the server that is started, e.g. -- --max-num-seqs 64',
};

await runBench(async (argv) => {
  const { flags, rest } = readFlags(COMMAND, argv);
  if (flags['range-ratio'] >= 1) throw new UsageError('--range-ratio must be below 1.');
  const folder = flags.shape === null ? (flags.model ?? EMBEDDED_MODEL) : ensureCheckpoint(shapeNamed(flags.shape));
  const server = flags['base-url'] === null ? await start(folder, flags.quantization, rest, flags['ready-timeout']) : null;
  const url = server?.url ?? new URL(flags['base-url']!);
  try {
    const random = seededRandom(flags.seed);
    const workload = randomWorkload(
      {
        numPrompts: flags['num-prompts'] + flags['num-warmups'],
        inputLen: flags['input-len'],
        outputLen: flags['output-len'],
        rangeRatio: flags['range-ratio'],
        prefixLen: flags['prefix-len'],
        vocabSize: flags['vocab-size'] || (server === null ? 1000 : vocabSizeOf(folder)),
      },
      random,
    );
    // Warm-up prompts are others than the measured ones, which must not find themselves in the prefix cache.
    const warmups = workload.splice(flags['num-prompts']);
    const arrivals = poissonArrivals(workload.length, flags['request-rate'], random);
    const model = flags['request-model'] ?? (await firstModel(url));
    const send = (request: WorkloadRequest, intendedMs: number) =>
      streamRequest(url, flags.endpoint, requestBody(request, flags.endpoint, model, flags.temperature), intendedMs);

    for (const warmup of warmups) {
      const { error } = await send(warmup, performance.now());
      if (error !== null) throw new Error(`The warm-up request failed: ${error}`);
    }
    const { results, startMs, endMs } = await runOpenLoop(arrivals, flags['max-concurrency'], (index, intendedMs) =>
      send(workload[index]!, intendedMs),
    );
    const metrics = measureRun(results, startMs, endMs, flags.goodput);
    printOnline(metrics, flags.goodput);
    if (flags['print-errors']) for (const { error } of results) if (error !== null) console.error(error);
    if (flags.json !== null) writeFileSync(flags.json, `${JSON.stringify(toVllmJson(metrics, model, flags), null, 2)}\n`);
    if (metrics.failed > 0) process.exitCode = 1;
  } finally {
    await server?.stop();
  }
});

function start(folder: string, quantization: string, rest: readonly string[], readyTimeoutSeconds: number): Promise<SpawnedServer> {
  return spawnServer(['--model', folder, '--quantization', quantization, ...rest], readyTimeoutSeconds * 1000);
}

function requestBody(request: WorkloadRequest, endpoint: 'completions' | 'chat', model: string, temperature: number): object {
  const words = () => request.promptIds.map((id) => `w${id.toString(36)}`).join(' ');
  return {
    model,
    ...(endpoint === 'chat' ? { messages: [{ role: 'user', content: words() }] } : { prompt: request.promptIds }),
    max_tokens: request.outputLen,
    ignore_eos: true,
    temperature,
    stream: true,
    stream_options: { include_usage: true },
  };
}

async function firstModel(url: URL): Promise<string> {
  const { data } = (await getJson(new URL('/v1/models', url))) as { data: { id: string }[] };
  return data[0]?.id ?? 'default';
}

function vocabSizeOf(folder: string): number {
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as { vocab_size?: number };
  return config.vocab_size ?? 1000;
}
