/** One round of the comparison: a child process loads the model, measures the three cases and prints what it found. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const CASES = ['prefill-512', 'decode-1', 'decode-8'] as const;
export type Case = (typeof CASES)[number];
export const CONTEXT_LENGTH = 512;

export interface RoundRequest {
  /** Checkpoint folder for troupe, GGUF file for llama.cpp. */
  readonly model: string;
  readonly quantization: 'wint8' | 'wint4';
  readonly threads: number;
  readonly contextLength: number;
  /** Measured decode steps; a few more run before them. */
  readonly decodeSteps: number;
  readonly prefillRepeats: number;
}

export interface RoundResult {
  readonly case: Case;
  /** How the engine was set up, where it has a choice; the comparison takes the better median. */
  readonly variant: string;
  readonly tokensPerSecond: number;
}

/** The rival runs as its users get it, and, to know what it could do, tuned (PROGRAMS says how). */
export const ENGINES = ['troupe', 'node-llama-cpp', 'node-llama-cpp, tuned'] as const;
export type EngineName = (typeof ENGINES)[number];

interface Program {
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const RIVAL = [fileURLToPath(new URL('rivals/node-llama-cpp.mjs', import.meta.url))];
const PROGRAMS: Readonly<Record<EngineName, Program>> = {
  troupe: { args: ['--import', 'tsx', fileURLToPath(new URL('compare-troupe.ts', import.meta.url))], environment: {} },
  'node-llama-cpp': { args: RIVAL, environment: {} },
  // On two cores Linux often wakes llama.cpp's second thread on the core of the first, and both spin there. With a single libuv thread in
  // the process that happens less often: 65 to 75 tokens/s in place of 43 to 48 at batch 1.
  'node-llama-cpp, tuned': { args: RIVAL, environment: { UV_THREADPOOL_SIZE: '1' } },
};

/** All results of one engine's turn. @throws Error when a child process fails; what it said went to stderr. */
export function runRound(engine: EngineName, request: RoundRequest): Promise<RoundResult[]> {
  const { args, environment } = PROGRAMS[engine];
  return runChild([...args, JSON.stringify(request)], environment);
}

async function runChild(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<RoundResult[]> {
  const child = spawn(process.execPath, args, { cwd: ROOT, env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const code = await new Promise<number | string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) => resolve(exitCode ?? signal ?? 'unknown'));
  });
  if (code !== 0) throw new Error(`A round ended with ${code}: node ${args.join(' ')}`);
  return JSON.parse(output.trim().split('\n').at(-1)!) as RoundResult[];
}
