/** The lines of a batch through the server: some at a time, replies written in the order of the input as soon as they can be. */

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { StartupError } from '../core/errors.ts';
import { openInput } from './batch-files.ts';
import { type BatchProblem, type BatchReply, type BatchRequest, isProblem, parseBatchLine, problemLine, replyLine } from './batch-line.ts';

export interface BatchRun {
  readonly inputPath: string;
  readonly outputPath: string;
  /** Requests that are under way together. */
  readonly parallelism: number;
  readonly send: (request: BatchRequest) => Promise<BatchReply>;
  readonly onProgress?: (counts: BatchCounts) => void;
}

export interface BatchCounts {
  readonly numDone: number;
  /** Of them: bad lines, and replies that are errors. */
  readonly numFailed: number;
}

export async function runBatch({ inputPath, outputPath, parallelism, send, onProgress }: BatchRun): Promise<BatchCounts> {
  const counts = { numDone: 0, numFailed: 0 };
  const seen = new Map<string, number>();
  const output = createWriteStream(outputPath);
  const outputFailed = once(output, 'error').then(([error]) => {
    throw new StartupError(`The output ${outputPath} cannot be written: ${(error as Error).message}`);
  });
  outputFailed.catch(() => {});

  const answer = async (line: BatchRequest | BatchProblem): Promise<string> => {
    const [text, isGood] = isProblem(line) ? ([problemLine(line), false] as const) : await answerRequest(line, send);
    counts.numDone++;
    if (!isGood) counts.numFailed++;
    onProgress?.(counts);
    return text;
  };

  const running = new Set<Promise<unknown>>();
  // Each waits for the one before, so that the order is the input's whichever reply comes first.
  let written: Promise<unknown> = Promise.resolve();
  let number = 0;
  for await (const text of createInterface({ input: openInput(inputPath), crlfDelay: Number.POSITIVE_INFINITY })) {
    number++;
    if (text.trim() === '') continue;
    while (running.size >= parallelism) await Promise.race([...running, outputFailed]);
    const reply = answer(unique(parseBatchLine(text.replace(/^\uFEFF/, ''), number), number, seen));
    running.add(reply);
    void reply.then(() => running.delete(reply));
    written = Promise.all([reply, written]).then(([line]) => output.write(`${line}\n`));
  }
  await Promise.race([written, outputFailed]);
  output.end();
  await Promise.race([once(output, 'finish'), outputFailed]);
  return counts;
}

/** A custom_id is how a client finds its reply again. */
function unique(line: BatchRequest | BatchProblem, number: number, seen: Map<string, number>): BatchRequest | BatchProblem {
  const { customId } = line;
  if (isProblem(line) || customId === null) return line;
  const first = seen.get(customId);
  if (first === undefined) seen.set(customId, number);
  return first === undefined ? line : { customId, message: `Line ${number}: \`custom_id\` is that of line ${first} too.` };
}

async function answerRequest(request: BatchRequest, send: BatchRun['send']): Promise<readonly [string, boolean]> {
  try {
    const reply = await send(request);
    return [replyLine(request, reply), reply.status < 400];
  } catch (error) {
    const message = `The server did not answer: ${(error as Error).message}`;
    return [
      replyLine(request, {
        status: 503,
        requestId: null,
        body: { error: { message, type: 'server_error', param: null, code: 'no_answer' } },
      }),
      false,
    ];
  }
}
