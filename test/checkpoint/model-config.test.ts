import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseModelConfig } from '../../src/checkpoint/model-config.ts';
import { StartupError } from '../../src/core/errors.ts';
import { TINY_CONFIG } from '../support/checkpoint-folder.ts';

const parse = (fields: Record<string, unknown> = {}) => parseModelConfig({ ...TINY_CONFIG, ...fields }, 'config.json');
const as = (architecture: string, fields: Record<string, unknown> = {}) => parse({ architectures: [architecture], ...fields });

test('head size comes from the config, else from the family, else from hidden size and heads', () => {
  assert.equal(parse().headDim, 4);
  assert.equal(parse({ head_dim: 6 }).headDim, 6);
  assert.equal(parse({ head_dim: null }).headDim, 4);
  assert.equal(as('Qwen3ForCausalLM').headDim, 128);
});

test('fields that a config leaves out take the values of transformers', () => {
  const ernie = as('Ernie4_5ForCausalLM', { tie_word_embeddings: undefined });
  assert.equal(ernie.rope.theta, 500_000);
  assert.equal(ernie.tieWordEmbeddings, true);
  assert.equal(ernie.rmsNormEps, 1e-5);
  assert.equal(as('LlamaForCausalLM', { tie_word_embeddings: undefined }).tieWordEmbeddings, false);
  assert.equal(parse({ num_key_value_heads: null }).numKvHeads, 2);
});

test('the older and the newer spelling of rope scaling mean the same', () => {
  const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };
  const older = parse({ rope_theta: 5e5, rope_scaling: { rope_type: 'llama3', ...scaling } });
  const newer = parse({ rope_parameters: { rope_type: 'llama3', rope_theta: 5e5, ...scaling } });
  assert.deepEqual(newer.rope, older.rope);
  assert.equal(older.rope.theta, 5e5);
  assert.deepEqual(parse({ rope_scaling: { type: 'linear', factor: 4 } }).rope.scaling, { type: 'linear', factor: 4 });
  assert.deepEqual(parse({ rope_scaling: null }).rope.scaling, { type: 'none' });
});

test('the attention factor of YaRN is given, or follows from factor and mscale', () => {
  const yarn = (fields: object) => {
    const { scaling } = parse({ rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 8, ...fields } }).rope;
    assert(scaling.type === 'yarn');
    return scaling.attentionFactor;
  };
  assert.equal(yarn({}), 0.1 * Math.log(4) + 1);
  assert.equal(yarn({ attention_factor: 1.5 }), 1.5);
  assert.equal(yarn({ mscale: 1, mscale_all_dim: 1 }), 1);
});

test('sliding windows are per layer, as each family says', () => {
  const layers = { num_hidden_layers: 3, sliding_window: 7 };
  assert.deepEqual(parse(layers).slidingWindows, [null, null, null]);
  assert.deepEqual(as('MistralForCausalLM', layers).slidingWindows, [7, 7, 7]);
  assert.deepEqual(as('MistralForCausalLM', { ...layers, sliding_window: null }).slidingWindows, [null, null, null]);
  assert.deepEqual(as('Qwen2ForCausalLM', { ...layers, max_window_layers: 1 }).slidingWindows, [null, null, null]);
  const used = { ...layers, use_sliding_window: true, max_window_layers: 1 };
  assert.deepEqual(as('Qwen2ForCausalLM', used).slidingWindows, [null, 7, 7]);
  const types = { layer_types: ['sliding_attention', 'full_attention', 'sliding_attention'] };
  assert.deepEqual(as('Qwen3ForCausalLM', { ...used, ...types }).slidingWindows, [7, null, 7]);
});

test('one or several end-of-sequence ids', () => {
  assert.deepEqual(parse().eosTokenIds, [2]);
  assert.deepEqual(parse({ eos_token_id: [1, 2] }).eosTokenIds, [1, 2]);
  assert.deepEqual(parse({ eos_token_id: null }).eosTokenIds, []);
});

test('what cannot be served is refused in one line', () => {
  const fails = (fields: Record<string, unknown>, pattern: RegExp) => {
    assert.throws(
      () => parse(fields),
      (error: Error) => error instanceof StartupError && pattern.test(error.message) && !error.message.includes('\n'),
    );
  };
  const supported = 'Ernie4_5ForCausalLM, LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM';
  fails({ architectures: ['GPT2LMHeadModel'] }, new RegExp(`architecture GPT2LMHeadModel is not supported; supported are ${supported}`));
  fails({ architectures: undefined, model_type: 'mamba' }, /architecture mamba is not supported/);
  fails({ hidden_size: undefined }, /config\.json: hidden_size: /);
  fails({ hidden_size: '8' }, /config\.json: hidden_size: /);
  fails({ hidden_act: 'gelu' }, /hidden_act "gelu" is not supported/);
  fails({ num_attention_heads: 3, num_key_value_heads: 2 }, /num_attention_heads \(3\) is not a multiple of num_key_value_heads \(2\)/);
  fails(
    { rope_scaling: { type: 'dynamic', factor: 2 } },
    /rope scaling "dynamic" is not supported; supported are default, linear, llama3 and yarn/,
  );
  fails({ rope_scaling: { rope_type: 'linear' } }, /rope scaling "linear" needs factor/);
  fails({ quantization_config: { quant_method: 'awq' } }, /already quantised \(awq\)/);
  fails({ partial_rotary_factor: 0.5 }, /partial_rotary_factor 0\.5/);
});
