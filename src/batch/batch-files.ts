/**
 * Where a batch comes from and goes to: files, or http(s) URLs that the command line names. Nothing inside a batch is ever fetched.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { copyFile, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { StartupError } from '../core/errors.ts';
import type { BatchOptions } from './batch-options.ts';

export interface BatchFiles {
  /** Local, and there. */
  readonly inputPath: string;
  /** Local, empty, and writable. */
  readonly outputPath: string;
  /** Sends the output to its URL, if it has one. */
  deliver(): Promise<void>;
  /** Removes what was only needed meanwhile. */
  close(): Promise<void>;
}

/** @throws StartupError, one line, when the input cannot be read or the output not be written. */
export async function openBatchFiles({ input, output, temporaryDir }: BatchOptions): Promise<BatchFiles> {
  const folder = await mkdtemp(join(temporaryDir ?? tmpdir(), 'troupe-batch-')).catch((error) => {
    throw new StartupError(`--output-tmp-dir ${temporaryDir} cannot be used: ${(error as Error).message}`);
  });
  const close = () => rm(folder, { recursive: true, force: true });
  try {
    const inputPath = join(folder, 'input.jsonl');
    if (isUrl(input)) await download(input, inputPath);
    // A copy: the input may be the output, or change meanwhile.
    else await copyFile(input, inputPath).catch((error) => fail(`The input ${input} cannot be read: ${withoutPaths(error)}`));
    const outputPath = isUrl(output) ? join(folder, 'output.jsonl') : output;
    const file = await open(outputPath, 'w').catch((error) => fail(`The output ${output} cannot be written: ${(error as Error).message}`));
    await file.close();
    return { inputPath, outputPath, deliver: async () => void (isUrl(output) && (await upload(outputPath, output))), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** `ENOENT: no such file or directory`: what follows names the copy, too. */
const withoutPaths = (error: Error): string => error.message.split(', ')[0]!;

const isUrl = (place: string): boolean => /^https?:\/\//i.test(place);

async function download(url: string, path: string): Promise<void> {
  await withRetries(`GET ${url}`, async () => {
    const reply = await fetch(url);
    checkStatus(reply);
    if (reply.body) await pipeline(Readable.fromWeb(reply.body as import('node:stream/web').ReadableStream), createWriteStream(path));
  });
}

async function upload(path: string, url: string): Promise<void> {
  const body = await readFile(path);
  await withRetries(`PUT ${url}`, async () => {
    const reply = await fetch(url, { method: 'PUT', body, headers: { 'content-type': 'application/jsonl' } });
    checkStatus(reply);
    await reply.arrayBuffer();
  });
}

/** Not worth a second try. */
class Refusal extends Error {}

function checkStatus({ status, ok }: Response): void {
  if (ok) return;
  const message = `the answer is HTTP ${status}`;
  throw status >= 500 || status === 429 || status === 408 ? new Error(message) : new Refusal(message);
}

const NUM_TRIES = 5;
const FIRST_WAIT_MS = 200;

async function withRetries(what: string, attempt: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof Refusal || tries === NUM_TRIES) {
        const { message, cause } = error as Error;
        fail(`${what} failed after ${tries} ${tries === 1 ? 'try' : 'tries'}: ${cause instanceof Error ? cause.message : message}`);
      }
      await new Promise((resolve) => setTimeout(resolve, FIRST_WAIT_MS * 2 ** (tries - 1)));
    }
  }
}

function fail(message: string): never {
  throw new StartupError(message.split('\n')[0] ?? message);
}

/** For reading line by line. */
export function openInput(path: string): NodeJS.ReadableStream {
  return createReadStream(path, 'utf8');
}
