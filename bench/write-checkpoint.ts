/**
 * A Hugging Face checkpoint of a named shape with random weights, so that the benches need no download:
 * `model.safetensors` in bfloat16, `config.json`, `generation_config.json`, a working tokenizer and a chat template.
 */
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { benchCacheFolder, makeAtomically } from './cache-folder.ts';
import { CHAT_TEMPLATE, CONTROL_TOKENS, END_OF_TEXT_ID, END_OF_TURN_ID, fillerTokenizer } from './filler-tokenizer.ts';
import { randomChunks, seededTensors } from './random-weights.ts';
import { numElements, type Shape } from './shapes.ts';

/** Writes the checkpoint unless it is there already, and gives its folder. */
export function ensureCheckpoint(shape: Shape, cacheFolder: string = benchCacheFolder()): string {
  const folder = join(cacheFolder, shape.name);
  if (!existsSync(folder)) makeAtomically(folder, (partial) => writeCheckpoint(shape, partial));
  return folder;
}

/** Creates `folder` and writes the whole checkpoint into it. */
export function writeCheckpoint(shape: Shape, folder: string): void {
  mkdirSync(folder, { recursive: true });
  const writeJson = (name: string, content: object) => writeFileSync(join(folder, name), `${JSON.stringify(content, null, 1)}\n`);
  writeJson('config.json', config(shape));
  writeJson('generation_config.json', { eos_token_id: [END_OF_TURN_ID, END_OF_TEXT_ID], pad_token_id: END_OF_TEXT_ID });
  writeJson('tokenizer.json', fillerTokenizer(shape.vocabSize));
  writeJson('tokenizer_config.json', {
    tokenizer_class: 'PreTrainedTokenizerFast',
    eos_token: CONTROL_TOKENS[END_OF_TURN_ID],
    pad_token: CONTROL_TOKENS[END_OF_TEXT_ID],
    model_max_length: shape.maxPositionEmbeddings,
  });
  writeFileSync(join(folder, 'chat_template.jinja'), CHAT_TEMPLATE);
  writeSafetensors(shape, join(folder, 'model.safetensors'));
}

function config(shape: Shape): object {
  return {
    architectures: [shape.architecture],
    model_type: shape.modelType,
    num_hidden_layers: shape.numLayers,
    hidden_size: shape.hiddenSize,
    num_attention_heads: shape.numHeads,
    num_key_value_heads: shape.numKvHeads,
    head_dim: shape.headDim,
    intermediate_size: shape.intermediateSize,
    vocab_size: shape.vocabSize,
    max_position_embeddings: shape.maxPositionEmbeddings,
    rope_theta: shape.ropeTheta,
    rms_norm_eps: shape.rmsNormEps,
    hidden_act: 'silu',
    tie_word_embeddings: true,
    ...(shape.modelType === 'ernie4_5' ? { use_bias: false } : { attention_bias: false, use_sliding_window: false }),
    bos_token_id: END_OF_TEXT_ID,
    eos_token_id: END_OF_TURN_ID,
    pad_token_id: END_OF_TEXT_ID,
    torch_dtype: 'bfloat16',
    use_cache: true,
  };
}

/** The format: 8 bytes of header length, the header as JSON padded to 8 bytes, then the tensors without gaps. */
function writeSafetensors(shape: Shape, path: string): void {
  const tensors = seededTensors(shape);
  const header: Record<string, object> = { __metadata__: { format: 'pt' } };
  let offset = 0;
  for (const { tensor } of tensors) {
    const end = offset + 2 * numElements(tensor);
    header[tensor.name] = { dtype: 'BF16', shape: tensor.shape, data_offsets: [offset, end] };
    offset = end;
  }
  const text = JSON.stringify(header);
  const json = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));

  const file = openSync(path, 'w');
  try {
    writeAll(file, length);
    writeAll(file, json);
    for (const { tensor, seed } of tensors) for (const chunk of randomChunks(tensor, seed)) writeAll(file, chunk);
  } finally {
    closeSync(file);
  }
}

function writeAll(file: number, data: NodeJS.ArrayBufferView): void {
  for (let done = 0; done < data.byteLength; ) done += writeSync(file, data, done);
}
