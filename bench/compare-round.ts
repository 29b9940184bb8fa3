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

export type Engine = 'troupe' | 'node-llama-cpp';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PROGRAMS: Readonly<Record<Engine, readonly string[]>> = {
  troupe: ['--import', 'tsx', fileURLToPath(new URL('compare-troupe.ts', import.meta.url))],
  'node-llama-cpp': [fileURLToPath(new URL('rivals/node-llama-cpp.mjs', import.meta.url))],
};

/** @throws Error with the child's own words when it fails. */
export async function runRound(engine: Engine, request: RoundRequest): Promise<RoundResult[]> {
  const child = spawn(process.execPath, [...PROGRAMS[engine], JSON.stringify(request)], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const code = await new Promise<number | string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) => resolve(exitCode ?? signal ?? 'unknown'));
  });
  if (code !== 0) throw new Error(`The round of ${engine} ended with ${code}.`);
  return JSON.parse(output.trim().split('\n').at(-1)!) as RoundResult[];
}
