import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blockSizeFor } from '../../src/checkpoint/quantization.ts';
import { quantize } from '../../src/checkpoint/quantize.ts';
import { dequantize } from '../support/dequantize.ts';
import { normalValues } from '../support/random-values.ts';

const relativeError = (a: Float32Array, b: Float32Array): number =>
  Math.sqrt(a.reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0) / a.reduce((sum, x) => sum + x * x, 0));

test('normal weights come back within the error that 8 and 4 bits allow', () => {
  const weight = normalValues(64 * 512);
  assert(relativeError(weight, dequantize(quantize(weight, 64, 512, 8), 64, 512)) < 0.008);
  assert(relativeError(weight, dequantize(quantize(weight, 64, 512, 4), 64, 512)) < 0.105);
});

test('multiples of a scale come back exactly', () => {
  const weight = Float32Array.from({ length: 128 }, (_, i) => ((i % 16) - 8) * 0.25);
  assert.deepEqual(dequantize(quantize(weight, 1, 128, 4), 1, 128), weight);
});

test('a block of zeros stays zero, and spoils no neighbour', () => {
  const weight = new Float32Array(256);
  weight.fill(0.5, 128);
  for (const bits of [4, 8] as const) {
    const back = dequantize(quantize(weight, 1, 256, bits), 1, 256);
    assert.deepEqual(back.subarray(0, 128), new Float32Array(128));
    assert(relativeError(weight.subarray(128), back.subarray(128)) < 0.01);
  }
});

test('a row that does not fill its last block is padded', () => {
  const weight = normalValues(3 * 40);
  const matrix = quantize(weight, 3, 40, 8);
  assert.equal(matrix.numBlocks, 2);
  assert.equal(matrix.data.length, 3 * 2 * 32);
  assert(relativeError(weight, dequantize(matrix, 3, 40)) < 0.01);
});

test('blocks hold 128 inputs where that wastes nothing', () => {
  assert.deepEqual([1024, 3072, 64, 96, 192, 40, 1100].map(blockSizeFor), [128, 128, 64, 32, 64, 32, 128]);
});
