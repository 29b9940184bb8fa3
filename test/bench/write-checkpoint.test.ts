import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fromBfloat16 } from '../../bench/bfloat16.ts';
import { makeAtomically } from '../../bench/cache-folder.ts';
import { shapeNamed, shapeNames, tensorsOf } from '../../bench/shapes.ts';
import { ensureCheckpoint, writeCheckpoint } from '../../bench/write-checkpoint.ts';
import { inspectCheckpoint } from '../../src/checkpoint/inspect.ts';
import { readTensorDirectory } from '../../src/checkpoint/safetensors.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';

const folder = mkdtempSync(join(tmpdir(), 'bench-checkpoint-'));
after(() => rmSync(folder, { recursive: true }));

/** Parameters, as the model cards round them: 0.36 and 0.6 billion. */
const NUM_PARAMETERS = { 'ernie-4.5-0.3b': 360_748_032, 'qwen3-0.6b': 596_049_920 } as const;

for (const [name, expected] of Object.entries(NUM_PARAMETERS)) {
  test(`${name} has as many parameters as the published model`, () => {
    const count = tensorsOf(shapeNamed(name)).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    assert.equal(count, expected);
  });
}

for (const name of ['tiny-ernie', 'tiny-qwen3']) {
  const shape = shapeNamed(name);
  const dir = ensureCheckpoint(shape, folder);

  test(`${name}: the checkpoint reader accepts the folder and finds the shape in it`, () => {
    const { config } = inspectCheckpoint(dir);
    assert.equal(config.numLayers, shape.numLayers);
    assert.equal(config.numKvHeads, shape.numKvHeads);
    assert.equal(config.headDim, shape.headDim);
    assert.equal(config.vocabSize, shape.vocabSize);
  });

  test(`${name}: matrices are spread around 0 with a standard deviation of 0.02 and norms are 1`, () => {
    for (const stored of readTensorDirectory(dir).values()) {
      const bytes = readFileSync(stored.file).subarray(stored.offset, stored.offset + stored.numBytes);
      const values = Float64Array.from({ length: bytes.length / 2 }, (_, index) => fromBfloat16(bytes.readUInt16LE(2 * index)));
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
      if (stored.shape.length === 1) assert.deepEqual([mean, deviation], [1, 0], stored.name);
      else assert.ok(Math.abs(mean) < 0.001 && Math.abs(deviation - 0.02) < 0.001, `${stored.name}: mean ${mean}, deviation ${deviation}`);
    }
  });

  test(`${name}: the tokenizer has the whole vocabulary and gives any text back`, () => {
    const tokenizer = Tokenizer.load(dir);
    const text = 'Hello, 漢字 and 🙂\n\ttabs\u0000';
    assert.equal(tokenizer.vocabSize, shape.vocabSize);
    assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
    assert.deepEqual(tokenizer.encode('<|im_end|>'), [2]);
    for (let id = 3 + 256; id < shape.vocabSize; id++) assert.match(tokenizer.decode([id]), /^ w[0-9a-z]+$/);
  });
}

test('the same shape gives the same bytes', () => {
  const again = join(folder, 'again');
  writeCheckpoint(shapeNamed('tiny-ernie'), again);
  for (const file of readdirSync(again))
    assert.deepEqual(readFileSync(join(again, file)), readFileSync(join(folder, 'tiny-ernie', file)), file);
});

test('a checkpoint is written only once', () => {
  const shape = shapeNamed('tiny-ernie');
  const written = statSync(join(ensureCheckpoint(shape, folder), 'model.safetensors'));
  assert.equal(statSync(join(ensureCheckpoint(shape, folder), 'model.safetensors')).ino, written.ino);
});

test('what was interrupted while it was made is not left behind', () => {
  const path = join(folder, 'interrupted');
  assert.throws(
    () =>
      makeAtomically(path, (partial) => {
        writeCheckpoint(shapeNamed('tiny-ernie'), partial);
        throw new Error('disk full');
      }),
    /disk full/,
  );
  assert.equal(existsSync(path), false);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.includes('interrupted')),
    [],
  );
});

test('an unknown shape is refused with the known ones', () => {
  assert.throws(
    () => shapeNamed('llama-405b'),
    (error) => error instanceof RangeError && shapeNames.every((name) => error.message.includes(name)),
  );
});
