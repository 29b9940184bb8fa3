/** Entry of the encoder thread: one text in, its token ids out. */
import { parentPort, workerData } from 'node:worker_threads';
import { Tokenizer } from '../text/tokenizer.ts';
import type { EncodeJob, EncodeResult } from './long-text-encoder.ts';

const { modelDir } = workerData as { readonly modelDir: string };
const tokenizer = Tokenizer.load(modelDir);

parentPort?.on('message', ({ id, text, addSpecialTokens }: EncodeJob) => parentPort?.postMessage(encode(id, text, addSpecialTokens)));

function encode(id: number, text: string, addSpecialTokens: boolean): EncodeResult {
  try {
    return { id, ids: Uint32Array.from(tokenizer.encode(text, { addSpecialTokens })) };
  } catch (error) {
    return { id, error: String(error) };
  }
}
