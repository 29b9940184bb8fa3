/** One client: it sends its request, sends it again while it is refused, reads, perhaps leaves, and writes down what became of it. */
import { TroupeError } from '../../src/core/errors.ts';
import type { FinishReason, GenerateRequest, Generation } from '../../src/core/generation.ts';
import { FrontendRole } from './frontend-role.ts';
import type { SimulatedProcess } from './process.ts';
import type { Client } from './scenario.ts';
import type { World } from './world.ts';

export interface SaidChoice {
  text: string;
  ids: number[];
  logprobs: number[];
  finish: FinishReason | null;
}

/** How a client's request ended. `lost`: the frontend's process ended. `refused`: no frontend ever took it. */
export type ClientEnd = 'finished' | 'cut' | 'left' | 'failed' | 'lost' | 'refused';

export interface ClientReport {
  readonly client: Client;
  /** When it was first sent and when it ended, in the world's time; null while it runs. */
  startedAt: number;
  endedAt: number | null;
  /** All ends that were seen: exactly one in the end. */
  readonly ends: ClientEnd[];
  error: TroupeError | null;
  wasAccepted: boolean;
  choices: SaidChoice[];
  usage: ReturnType<Generation['usage']> | null;
  /** Something that must never happen, seen while it read. */
  readonly wrong: string[];
}

const RETRY_MS = 500;
/** How long after its first try it tries again. */
const TRIES_FOR_MS = 30_000;
/** Answers after which a client tries again; others are its own fault or the end. */
const RETRIED: ReadonlySet<string> = new Set(['model_loading', 'server_draining', 'queue_full', 'no_engine']);

export async function runClient(world: World, report: ClientReport): Promise<void> {
  const { clock } = world;
  const pause = (ms: number): Promise<void> => new Promise((resolve) => clock.setTimeout(resolve, ms));
  await pause(report.client.atMs);
  report.startedAt = clock.monotonic();
  while (clock.monotonic() - report.startedAt < TRIES_FOR_MS) {
    const process = world.process(report.client.frontend);
    const role = world.role(report.client.frontend);
    const end = process && role instanceof FrontendRole ? await attempt(world, report, process, role) : 'refused';
    if (end !== 'refused') return settle(world, report, end);
    await pause(RETRY_MS);
  }
  settle(world, report, 'refused');
}

function settle(world: World, report: ClientReport, end: ClientEnd): void {
  report.ends.push(end);
  report.endedAt = world.clock.monotonic();
  const code = report.error ? ` ${report.error.code}` : '';
  world.log.note(`client ${report.client.request.requestId}: ${end}${code} ${report.choices.map(({ ids }) => ids.join('.')).join(' ')}`);
}

/** One try at one process: what the client sees, or that the process is gone. */
function attempt(world: World, report: ClientReport, process: SimulatedProcess, role: FrontendRole): Promise<ClientEnd> {
  const { client } = report;
  const leave = new AbortController();
  const isLeaving = { by: false };
  const goAway = (): void => {
    isLeaving.by = true;
    process.receive(() => leave.abort());
  };
  const timer = client.leavesAfterMs === null ? null : world.clock.setTimeout(goAway, client.leavesAfterMs);
  const { promise, resolve } = deferred<ClientEnd>();
  // What dies with its process says nothing more: its promises may still settle, and nobody hears them.
  process.onDeath(() => resolve('lost'));
  process.receive(() => {
    const reading = read(world, report, role, client.request, leave.signal, goAway);
    reading.then(
      (end) => process.isAlive && resolve(end),
      (error: unknown) => process.isAlive && resolve(endOf(report, error, isLeaving.by)),
    );
  });
  return promise.finally(() => world.clock.clearTimeout(timer));
}

function endOf(report: ClientReport, error: unknown, isLeaving: boolean): ClientEnd {
  if (error instanceof TroupeError) {
    if (!report.wasAccepted && RETRIED.has(error.code)) return 'refused';
    report.error = error;
    return 'failed';
  }
  if (isLeaving) return 'left';
  report.wrong.push(`an untyped error: ${error}`);
  return 'failed';
}

async function read(
  world: World,
  report: ClientReport,
  role: FrontendRole,
  request: GenerateRequest,
  signal: AbortSignal,
  goAway: () => void,
): Promise<ClientEnd> {
  const { client } = report;
  const generation = await role.frontend.generate(request, signal);
  report.wasAccepted = true;
  world.log.note(`client ${request.requestId}: accepted by ${client.frontend}`);
  report.choices = Array.from({ length: request.n }, () => ({ text: '', ids: [], logprobs: [], finish: null }));
  try {
    for await (const deltas of generation.deltas) {
      for (const delta of deltas) {
        const choice = report.choices[delta.choice]!;
        if (choice.finish !== null) report.wrong.push(`choice ${delta.choice} goes on after its end`);
        choice.text += delta.text;
        choice.ids.push(...delta.tokenIds);
        choice.logprobs.push(...(delta.logprobs ?? []).flatMap(({ logprob, top }) => [logprob, ...top.map((other) => other.logprob)]));
        choice.finish = delta.finishReason;
      }
      if (client.leavesAfterTokens !== null && report.choices[0]!.ids.length >= client.leavesAfterTokens) goAway();
      if (client.readEveryMs > 0) await new Promise<void>((resolve) => world.clock.setTimeout(resolve, client.readEveryMs));
    }
  } finally {
    report.usage = generation.usage();
  }
  if (signal.aborted) return 'left';
  if (report.choices.some(({ finish }) => finish === null)) report.wrong.push('the deltas ended before every choice did');
  return report.choices.some(({ finish }) => finish === 'recover_stop') ? 'cut' : 'finished';
}

function deferred<T>(): { readonly promise: Promise<T>; resolve(value: T): void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((yes) => {
    resolve = yes;
  });
  return { promise, resolve };
}
