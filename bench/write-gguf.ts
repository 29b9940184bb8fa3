/**
 * The same random model as write-checkpoint.ts, as llama.cpp reads it: every matrix in Q4_0 (for wint4) or Q8_0 (for wint8), the
 * embeddings that double as output layer included (`llama-quantize --pure`), norms in float32.
 *
 * Without `--pure`, llama-quantize keeps tied embeddings at 6 bits (Q6_K) beside Q4_0: nearly half as many bytes again for the
 * largest matrix of these shapes. Pure Q4_0 is the faster choice for llama.cpp, and the bits are then equal on both sides.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { benchCacheFolder, makeAtomically } from './cache-folder.ts';
import { CONTROL_TOKENS, END_OF_TEXT_ID, END_OF_TURN_ID, fillerVocabulary } from './filler-tokenizer.ts';
import { BLOCK_VALUES, type BlockFormat, Q4_0, Q8_0 } from './ggml-blocks.ts';
import { type GgufTensor, type GgufValue, writeGguf } from './gguf-file.ts';
import { randomChunks, seededTensors } from './random-weights.ts';
import { numElements, type Shape, type TensorSpec } from './shapes.ts';

export type GgufQuantization = 'wint4' | 'wint8';

const FORMATS: Readonly<Record<GgufQuantization, BlockFormat>> = { wint4: Q4_0, wint8: Q8_0 };
const GGML_F32 = 0;

/** Writes the file unless it is there already, and gives its path. */
export function ensureGguf(shape: Shape, quantization: GgufQuantization, cacheFolder: string = benchCacheFolder()): string {
  const format = FORMATS[quantization];
  const path = join(cacheFolder, `${shape.name}.${format.name}.gguf`);
  if (!existsSync(path)) makeAtomically(path, (partial) => writeGguf(partial, metadata(shape, format), tensors(shape, format)));
  return path;
}

function metadata(shape: Shape, format: BlockFormat): (readonly [string, GgufValue])[] {
  const architecture = shape.modelType === 'ernie4_5' ? 'ernie4_5' : 'qwen3';
  const uint32 = (value: number): GgufValue => ({ type: 'uint32', value });
  const float32 = (value: number): GgufValue => ({ type: 'float32', value });
  const text = (value: string): GgufValue => ({ type: 'string', value });
  return [
    ['general.architecture', text(architecture)],
    ['general.name', text(`${shape.name} with random weights`)],
    ['general.file_type', uint32(format.fileType)],
    ['general.quantization_version', uint32(2)],
    [`${architecture}.block_count`, uint32(shape.numLayers)],
    [`${architecture}.context_length`, uint32(shape.maxPositionEmbeddings)],
    [`${architecture}.embedding_length`, uint32(shape.hiddenSize)],
    [`${architecture}.feed_forward_length`, uint32(shape.intermediateSize)],
    [`${architecture}.attention.head_count`, uint32(shape.numHeads)],
    [`${architecture}.attention.head_count_kv`, uint32(shape.numKvHeads)],
    [`${architecture}.attention.key_length`, uint32(shape.headDim)],
    [`${architecture}.attention.value_length`, uint32(shape.headDim)],
    [`${architecture}.attention.layer_norm_rms_epsilon`, float32(shape.rmsNormEps)],
    [`${architecture}.rope.dimension_count`, uint32(shape.headDim)],
    [`${architecture}.rope.freq_base`, float32(shape.ropeTheta)],
    [`${architecture}.vocab_size`, uint32(shape.vocabSize)],
    ...tokenizer(shape.vocabSize),
  ];
}

function tokenizer(vocabSize: number): (readonly [string, GgufValue])[] {
  const NORMAL = 1;
  const CONTROL = 3;
  const tokens = fillerVocabulary(vocabSize);
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { type: 'string', value: 'default' }],
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens }],
    ['tokenizer.ggml.token_type', { type: 'int32s', value: tokens.map((_, id) => (id < CONTROL_TOKENS.length ? CONTROL : NORMAL)) }],
    ['tokenizer.ggml.merges', { type: 'strings', value: [] }],
    ['tokenizer.ggml.bos_token_id', { type: 'uint32', value: END_OF_TEXT_ID }],
    ['tokenizer.ggml.eos_token_id', { type: 'uint32', value: END_OF_TURN_ID }],
    ['tokenizer.ggml.padding_token_id', { type: 'uint32', value: END_OF_TEXT_ID }],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: false }],
  ];
}

function tensors(shape: Shape, format: BlockFormat): GgufTensor[] {
  return seededTensors(shape).map(({ tensor, seed }) => {
    const isMatrix = tensor.shape.length === 2;
    return {
      name: ggufName(tensor.name),
      shape: tensor.shape,
      ggmlType: isMatrix ? format.ggmlType : GGML_F32,
      numBytes: isMatrix ? (numElements(tensor) / BLOCK_VALUES) * format.bytesPerBlock : numElements(tensor) * 4,
      bytes: () => (isMatrix ? quantizedBytes(tensor, seed, format) : float32Bytes(tensor, seed)),
    };
  });
}

function* quantizedBytes(tensor: TensorSpec, seed: number, format: BlockFormat): Generator<Uint8Array> {
  for (const chunk of randomChunks(tensor, seed)) {
    const values = toFloat32(chunk);
    const blocks = new Uint8Array((values.length / BLOCK_VALUES) * format.bytesPerBlock);
    for (let from = 0, at = 0; from < values.length; from += BLOCK_VALUES, at += format.bytesPerBlock)
      format.quantize(values, from, blocks, at);
    yield blocks;
  }
}

function* float32Bytes(tensor: TensorSpec, seed: number): Generator<Uint8Array> {
  for (const chunk of randomChunks(tensor, seed)) yield new Uint8Array(toFloat32(chunk).buffer);
}

function toFloat32(chunk: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(chunk.length);
  for (let index = 0; index < chunk.length; index++) words[index] = chunk[index]! << 16;
  return new Float32Array(words.buffer);
}

const GGUF_LAYER_NAMES: Readonly<Record<string, string>> = {
  input_layernorm: 'attn_norm',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  post_attention_layernorm: 'ffn_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};

/** llama.cpp's name. Rows of q and k stay as they are: llama.cpp rotates neighbouring values for ernie4_5 and halves for qwen3, as Hugging Face does. */
function ggufName(name: string): string {
  if (name === 'model.embed_tokens.weight') return 'token_embd.weight';
  if (name === 'model.norm.weight') return 'output_norm.weight';
  const [, layer, part] = /^model\.layers\.(\d+)\.(.+)\.weight$/.exec(name) ?? [];
  const ggufPart = part === undefined ? undefined : GGUF_LAYER_NAMES[part];
  if (ggufPart === undefined) throw new Error(`No GGUF name is known for ${name}.`);
  return `blk.${layer}.${ggufPart}.weight`;
}
