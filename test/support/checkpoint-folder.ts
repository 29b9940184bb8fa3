/** Writes small safetensors files and model folders to spoil and to read. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

export interface TensorSource {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A folder that is gone after the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'troupe-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function float32Tensor(shape: readonly number[], value: (index: number) => number = () => 0): TensorSource {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i));
  return { dtype: 'F32', shape, bytes: new Uint8Array(values.buffer) };
}

export function writeSafetensors(file: string, tensors: Readonly<Record<string, TensorSource>>, metadata?: Record<string, string>): void {
  const header: Record<string, unknown> = metadata === undefined ? {} : { __metadata__: metadata };
  let end = 0;
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(file, Buffer.concat([length, json, ...Object.values(tensors).map(({ bytes }) => bytes)]));
}

/** config.json of a llama with one layer, 2 heads of 4 on 1 KV head, 8 hidden, 12 MLP, 10 tokens. */
export const TINY_CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 12,
  vocab_size: 10,
  max_position_embeddings: 32,
  tie_word_embeddings: true,
  eos_token_id: 2,
};

/** The tensors that TINY_CONFIG asks for. */
export function tinyTensors(): Record<string, TensorSource> {
  const noise = (i: number) => Math.sin(i * 12.9898) * 0.5;
  const prefix = 'model.layers.0';
  return {
    'model.embed_tokens.weight': float32Tensor([10, 8], noise),
    [`${prefix}.input_layernorm.weight`]: float32Tensor([8], () => 1),
    [`${prefix}.self_attn.q_proj.weight`]: float32Tensor([8, 8], noise),
    [`${prefix}.self_attn.k_proj.weight`]: float32Tensor([4, 8], noise),
    [`${prefix}.self_attn.v_proj.weight`]: float32Tensor([4, 8], noise),
    [`${prefix}.self_attn.o_proj.weight`]: float32Tensor([8, 8], noise),
    [`${prefix}.post_attention_layernorm.weight`]: float32Tensor([8], () => 1),
    [`${prefix}.mlp.gate_proj.weight`]: float32Tensor([12, 8], noise),
    [`${prefix}.mlp.up_proj.weight`]: float32Tensor([12, 8], noise),
    [`${prefix}.mlp.down_proj.weight`]: float32Tensor([8, 12], noise),
    'model.norm.weight': float32Tensor([8], () => 1),
  };
}

/** A complete tiny model folder; `change` may spoil it. */
export function writeTinyModel(
  dir: string,
  change: { config?: Record<string, unknown>; tensors?: Record<string, TensorSource | undefined> } = {},
): void {
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...TINY_CONFIG, ...change.config }));
  const tensors = Object.entries({ ...tinyTensors(), ...change.tensors }).filter(
    (entry): entry is [string, TensorSource] => entry[1] !== undefined,
  );
  writeSafetensors(join(dir, 'model.safetensors'), Object.fromEntries(tensors), { format: 'pt' });
}
