import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspectCheckpoint } from '../../src/checkpoint/inspect.ts';
import { readRewardHead } from '../../src/checkpoint/reward-head.ts';
import { float32Tensor, temporaryFolder, writeTinyModel } from '../support/checkpoint-folder.ts';

const hidden = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8);

test('a checkpoint without a head has none', (t) => {
  const dir = temporaryFolder(t);
  writeTinyModel(dir);
  assert.equal(readRewardHead(dir, 8), null);
});

test('scores are the head times the hidden state, one for each label', (t) => {
  const dir = temporaryFolder(t);
  // Rows 0…7 and 8…15: 0·1 + 1·2 + … + 7·8 = 168, and 8 · 36 more.
  writeTinyModel(dir, { tensors: { 'score.weight': float32Tensor([2, 8], (i) => i) } });
  assert.deepEqual(readRewardHead(dir, 8)!(hidden), Float32Array.of(168, 456));
});

test('two layers have a ReLU between them, and their biases', (t) => {
  const dir = temporaryFolder(t);
  writeTinyModel(dir, {
    tensors: {
      'score.0.weight': float32Tensor([2, 8], (i) => (i < 8 ? 1 : -1)),
      'score.0.bias': float32Tensor([2], () => 0.5),
      'score.2.weight': float32Tensor([1, 2], () => 2),
      'score.2.bias': float32Tensor([1], () => -3),
    },
  });
  assert.deepEqual(readRewardHead(dir, 8)!(hidden), Float32Array.of(2 * 36.5 - 3), 'the second row is below zero and gone');
});

test('a head of another width is one line with the shapes', (t) => {
  const dir = temporaryFolder(t);
  writeTinyModel(dir, { tensors: { 'score.weight': float32Tensor([1, 7]) } });
  assert.throws(() => readRewardHead(dir, 8), /score\.weight has shape \[1, 7\], expected \[labels, 8\]/);
});

for (const architecture of ['LlamaForSequenceClassification', 'LlamaForRewardModel']) {
  test(`${architecture} is a llama without an LM head`, (t) => {
    const dir = temporaryFolder(t);
    writeTinyModel(dir, {
      config: { architectures: [architecture], tie_word_embeddings: false },
      tensors: { 'score.weight': float32Tensor([1, 8]) },
    });
    const { config, weights } = inspectCheckpoint(dir);
    assert.equal(config.family, 'llama');
    assert.equal(weights.lmHead, weights.embedding);
  });
}
