/** A model folder as large as a test wants, which takes no disk: its weights are a hole in a file. */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { TINY_CONFIG, tinyTensors } from './checkpoint-folder.ts';

const HIDDEN = 256;

/** A llama with one layer, fp32, whose MLP is `intermediateSize` wide: 3 kB of weights for each. Its KV cache takes 1 KiB a token. */
export function writeSparseModel(dir: string, intermediateSize: number): void {
  const config = {
    ...TINY_CONFIG,
    hidden_size: HIDDEN,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    intermediate_size: intermediateSize,
  };
  const dimensions = new Map([
    [4, HIDDEN / 2],
    [8, HIDDEN],
    [12, intermediateSize],
    [10, 10],
  ]);
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const [name, tensor] of Object.entries(tinyTensors())) {
    const shape = tensor.shape.map((length) => dimensions.get(length)!);
    const numBytes = shape.reduce((a, b) => a * b, 1) * 4;
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + numBytes] };
    end += numBytes;
  }
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = openSync(join(dir, 'model.safetensors'), 'w');
  writeSync(file, Buffer.concat([length, json]));
  ftruncateSync(file, length.length + json.length + end);
  closeSync(file);
}
