import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, readFileSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { defaultCacheDir, openQuantizedWeights } from '../../src/checkpoint/cache.ts';
import { type Checkpoint, inspectCheckpoint } from '../../src/checkpoint/inspect.ts';
import { readBytes, readFloat32 } from '../../src/checkpoint/weights.ts';
import { StartupError } from '../../src/core/errors.ts';
import { temporaryFolder, writeTinyModel } from '../support/checkpoint-folder.ts';
import { dequantize } from '../support/dequantize.ts';

function setUp(t: TestContext): { checkpoint: Checkpoint; cacheDir: string; modelDir: string } {
  const modelDir = join(temporaryFolder(t), 'tiny');
  writeTinyModel(modelDir);
  return { checkpoint: inspectCheckpoint(modelDir), cacheDir: join(temporaryFolder(t), 'cache'), modelDir };
}

/** How often progress was reported: 0 = the file was there already. */
function open(checkpoint: Checkpoint, cacheDir: string): number {
  const fractions: number[] = [];
  openQuantizedWeights(checkpoint, 'wint8', cacheDir, (fraction) => fractions.push(fraction));
  assert.deepEqual(
    fractions,
    fractions.toSorted((a, b) => a - b),
  );
  if (fractions.length > 0) assert.equal(fractions.at(-1), 1);
  return fractions.length;
}

const onlyFile = (cacheDir: string): string => {
  const names = readdirSync(cacheDir);
  assert.equal(names.length, 1, names.join());
  return join(cacheDir, names[0]!);
};

test('weights are repacked once and then read', (t) => {
  const { checkpoint, cacheDir } = setUp(t);
  assert(open(checkpoint, cacheDir) > 0);
  assert.match(onlyFile(cacheDir), /tiny-wint8-[0-9a-f]{16}\.weights$/);
  assert.equal(open(checkpoint, cacheDir), 0);
});

test('the repacked matrices are the quantised weights, Q, K and V in one with padded heads', (t) => {
  const { checkpoint, cacheDir } = setUp(t);
  const tensors = openQuantizedWeights(checkpoint, 'wint8', cacheDir, () => {});
  const matrix = (key: string) => {
    const data = tensors.get(`${key}.data`)!;
    const [outputs, numBlocks, blockBytes] = data.shape as [number, number, number];
    const scales = readFloat32(tensors.get(`${key}.scales`)!);
    const inputs = 8;
    return { values: dequantize({ bits: 8, blockSize: blockBytes, numBlocks, data: readBytes(data), scales }, outputs, inputs), outputs };
  };
  const qkv = matrix('layers.0.qkv');
  assert.equal(qkv.outputs, 4 * 16);
  const k = readFloat32(checkpoint.weights.layers[0]!.k.weight);
  // K is the third head: rows 32 …; halves of 2 stand at the start of each padded half of 8.
  for (const [row, padded] of [32, 33, 40, 41].entries()) {
    for (let i = 0; i < 8; i++) assert(Math.abs(qkv.values[padded * 8 + i]! - k[row * 8 + i]!) < 0.003);
  }
  assert.deepEqual(qkv.values.subarray(34 * 8, 40 * 8), new Float32Array(6 * 8));
  assert.deepEqual(readFloat32(tensors.get('embedding')!), readFloat32(checkpoint.weights.embedding));
});

test('a file cut short anywhere is written again', (t) => {
  const { checkpoint, cacheDir } = setUp(t);
  open(checkpoint, cacheDir);
  const file = onlyFile(cacheDir);
  const whole = readFileSync(file);
  for (const length of [0, 4, 100, whole.length / 2, whole.length - 1]) {
    truncateSync(file, length);
    assert(open(checkpoint, cacheDir) > 0, `cut to ${length} bytes`);
    assert(readFileSync(file).equals(whole));
  }
});

test('the key is the content: other weights are repacked, the same ones written again are not', (t) => {
  const { checkpoint, cacheDir, modelDir } = setUp(t);
  open(checkpoint, cacheDir);
  const file = join(modelDir, 'model.safetensors');
  utimesSync(file, 1, 1);
  assert.equal(open(checkpoint, cacheDir), 0);
  const { mtime } = statSync(file);
  const { offset } = checkpoint.weights.layers[0]!.down.weight;
  const bytes = readFileSync(file);
  bytes[offset] = bytes[offset]! ^ 1;
  writeFileSync(file, bytes);
  utimesSync(file, mtime, mtime);
  assert(open(checkpoint, cacheDir) > 0);
  assert.equal(readdirSync(cacheDir).length, 2);
});

test('a copy of the folder elsewhere uses the same file', (t) => {
  const { checkpoint, cacheDir, modelDir } = setUp(t);
  open(checkpoint, cacheDir);
  const copy = join(temporaryFolder(t), 'tiny');
  cpSync(modelDir, copy, { recursive: true });
  assert.equal(open(inspectCheckpoint(copy), cacheDir), 0);
});

test('what a killed process left is removed, what a living one writes is not', (t) => {
  const { checkpoint, cacheDir } = setUp(t);
  open(checkpoint, cacheDir);
  const file = onlyFile(cacheDir);
  const abandoned = `${file}.999999999.0.tmp`;
  const living = `${file}.${process.pid}.0.tmp`;
  for (const name of [abandoned, living]) writeFileSync(name, '');
  truncateSync(file, 1);
  open(checkpoint, cacheDir);
  assert.deepEqual([existsSync(abandoned), existsSync(living)], [false, true]);
});

test('a cache that cannot be written is said in one line with the flag that helps', (t) => {
  const { checkpoint } = setUp(t);
  const blocked = join(temporaryFolder(t), 'file');
  writeFileSync(blocked, '');
  assert.throws(
    () => open(checkpoint, join(blocked, 'cache')),
    (error: Error) => error instanceof StartupError && /cannot be written .* --cache-dir$/.test(error.message),
  );
});

test('the cache lies where XDG says', () => {
  assert.equal(defaultCacheDir({ XDG_CACHE_HOME: '/x' }), join('/x', 'troupe'));
  assert.match(defaultCacheDir({}), /[/\\]\.cache[/\\]troupe$/);
});
