/** Entry of the encoder thread: one text in, its token ids out. */
import { parentPort, workerData } from 'node:worker_threads';
import { Tokenizer } from '../text/tokenizer.ts';
import { stepBack } from './background-thread.ts';
import type { EncodeJob, EncodeResult } from './long-text-encoder.ts';

stepBack();
const { modelDir } = workerData as { readonly modelDir: string };
const tokenizer = Tokenizer.load(modelDir);

parentPort?.on('message', (job: EncodeJob) => parentPort?.postMessage(encode(job)));

function encode({ text, addSpecialTokens }: EncodeJob): EncodeResult {
  try {
    return { ids: Uint32Array.from(tokenizer.encode(text, { addSpecialTokens })) };
  } catch (error) {
    return { error: String(error) };
  }
}
