import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspectCheckpoint } from '../../src/checkpoint/inspect.ts';
import { StartupError } from '../../src/core/errors.ts';
import { float32Tensor, temporaryFolder, writeTinyModel } from '../support/checkpoint-folder.ts';

test('parameters and bytes are counted without reading weights', (t) => {
  const dir = temporaryFolder(t);
  writeTinyModel(dir);
  const checkpoint = inspectCheckpoint(dir);
  const linear = 8 * 8 + 2 * 4 * 8 + 8 * 8 + 3 * 8 * 12;
  assert.equal(checkpoint.numParameters, 10 * 8 + linear + 3 * 8);
  // Float32 linear layers, the LM head as one more, and the embedding as it is stored.
  assert.equal(checkpoint.weightBytes('none'), 4 * (linear + 10 * 8) + 4 * 10 * 8);
  // Heads of 4 are padded to 16.
  assert.equal(checkpoint.kvBytesPerToken, 2 * 1 * 16 * 4);
  assert(checkpoint.weightBytes('wint4') > 0 && checkpoint.weightBytes('wint8') > checkpoint.weightBytes('wint4'));
});

test('a tensor that is missing, misshapen, transposed or of another type is named in one line', (t) => {
  const dir = temporaryFolder(t);
  const fails = (change: Parameters<typeof writeTinyModel>[1], pattern: RegExp) => {
    writeTinyModel(dir, change);
    assert.throws(
      () => inspectCheckpoint(dir),
      (error: Error) => error instanceof StartupError && pattern.test(error.message) && !error.message.includes('\n'),
    );
  };
  const up = 'model.layers.0.mlp.up_proj.weight';
  fails({ tensors: { [up]: undefined } }, /tensor model\.layers\.0\.mlp\.up_proj\.weight \[12, 8\] is missing/);
  fails({ tensors: { [up]: float32Tensor([12, 9]) } }, /has shape \[12, 9\], expected \[12, 8\] by config\.json$/);
  fails({ tensors: { [up]: float32Tensor([8, 12]) } }, /transposed as in Paddle checkpoints: take the -PT variant/);
  const integers = { dtype: 'I8', shape: [12, 8], bytes: new Uint8Array(96) };
  fails({ tensors: { [up]: integers } }, /has type I8; supported are BF16, F16 and F32/);
  fails({ config: { tie_word_embeddings: false } }, /tensor lm_head\.weight \[10, 8\] is missing/);
  fails({ config: { attention_bias: true } }, /q_proj\.bias \[8\] is missing/);
});

test('generation_config.json gives defaults, and its end-of-sequence ids go first', (t) => {
  const dir = temporaryFolder(t);
  writeTinyModel(dir);
  assert.deepEqual(inspectCheckpoint(dir).generation, { eosTokenIds: [2] });
  const file = join(dir, 'generation_config.json');
  writeFileSync(file, JSON.stringify({ do_sample: false, temperature: 0.6, top_k: 20, top_p: 0.95, eos_token_id: [3, 4] }));
  assert.deepEqual(inspectCheckpoint(dir).generation, { temperature: 0.6, topK: 20, topP: 0.95, eosTokenIds: [3, 4] });
  writeFileSync(file, JSON.stringify({ temperature: 'hot' }));
  assert.throws(() => inspectCheckpoint(dir), /generation_config\.json: temperature/);
  writeFileSync(file, '{');
  assert.throws(() => inspectCheckpoint(dir), /generation_config\.json: not JSON/);
});

test('a folder without config.json says so', (t) => {
  assert.throws(() => inspectCheckpoint(temporaryFolder(t)), /config\.json: cannot be read \(ENOENT\)/);
});
