import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fromBfloat16 } from '../../bench/bfloat16.ts';
import { Q4_0, Q8_0 } from '../../bench/ggml-blocks.ts';
import { shapeNamed } from '../../bench/shapes.ts';
import { ensureCheckpoint } from '../../bench/write-checkpoint.ts';
import { ensureGguf } from '../../bench/write-gguf.ts';
import { readTensorDirectory } from '../../src/checkpoint/safetensors.ts';
import { dequantize, readFloat16, readGguf } from '../support/gguf-reader.ts';

const folder = mkdtempSync(join(tmpdir(), 'bench-gguf-'));
after(() => rmSync(folder, { recursive: true }));

test('a Q4_0 block maps its extreme to -8 and holds value j beside value j + 16', () => {
  const values = Float32Array.from({ length: 32 }, (_, index) => (index === 5 ? -16 : index - 15));
  const block = Buffer.alloc(18);
  Q4_0.quantize(values, 0, block, 0);
  // The extreme of largest magnitude is -16 or +16: the first one met, -16, gives the scale 2.
  assert.equal(readFloat16(block, 0), 2);
  assert.equal(block[2 + 5]! & 15, 0);
  assert.equal(block[2 + 15]! & 15, 8);
  assert.equal(block[2 + 15]! >> 4, 15);
});

test('a Q8_0 block maps its largest magnitude to 127', () => {
  const values = Float32Array.from({ length: 32 }, (_, index) => index - 31.75);
  const block = Buffer.alloc(34);
  Q8_0.quantize(values, 0, block, 0);
  assert.equal(readFloat16(block, 0), 0.25);
  assert.deepEqual(
    Array.from({ length: 32 }, (_, index) => block.readInt8(2 + index)),
    Array.from({ length: 32 }, (_, index) => 4 * index - 127),
  );
});

test('a block of zeros stays zeros', () => {
  for (const [format, type] of [
    [Q4_0, 2],
    [Q8_0, 8],
  ] as const) {
    const block = Buffer.alloc(format.bytesPerBlock);
    format.quantize(new Float32Array(32), 0, block, 0);
    assert.ok(dequantize(type, block).every((value) => value === 0));
  }
});

for (const name of ['tiny-ernie', 'tiny-qwen3']) {
  const shape = shapeNamed(name);
  const checkpoint = readTensorDirectory(ensureCheckpoint(shape, folder));

  for (const [quantization, type, worst] of [
    ['wint4', 2, 1 / 8],
    ['wint8', 8, 1 / 254],
  ] as const) {
    test(`${name} ${quantization}: the GGUF file holds the checkpoint's weights to the format's precision`, () => {
      const { tensors } = readGguf(ensureGguf(shape, quantization, folder));
      assert.equal(tensors.size, checkpoint.size);
      const query = checkpoint.get('model.layers.1.self_attn.q_proj.weight')!;
      const embeddings = checkpoint.get('model.embed_tokens.weight')!;
      for (const [ggufName, stored] of [
        ['blk.1.attn_q.weight', query],
        ['token_embd.weight', embeddings],
      ] as const) {
        const tensor = tensors.get(ggufName)!;
        assert.equal(tensor.type, type);
        assert.deepEqual(tensor.dimensions, stored.shape.toReversed());
        const bytes = readFileSync(stored.file).subarray(stored.offset, stored.offset + stored.numBytes);
        const found = dequantize(type, tensor.data);
        for (let block = 0; block < found.length; block += 32) {
          const exact = Array.from({ length: 32 }, (_, index) => fromBfloat16(bytes.readUInt16LE(2 * (block + index))));
          // Half a step for rounding, a whole one where Q4_0 cuts +8 to +7, and the rounding of the half-precision scale.
          const limit = Math.max(...exact.map(Math.abs)) * (worst + 2 ** -11);
          for (let index = 0; index < 32; index++)
            assert.ok(Math.abs(found[block + index]! - exact[index]!) <= limit, `${ggufName}[${block + index}]`);
        }
      }
      const norm = tensors.get('output_norm.weight')!;
      assert.equal(norm.type, 0);
      assert.equal(norm.data.readFloatLE(4), 1);
    });
  }

  test(`${name}: the metadata are those of the architecture`, () => {
    const { version, metadata } = readGguf(ensureGguf(shape, 'wint4', folder));
    const architecture = shape.modelType;
    assert.equal(version, 3);
    assert.equal(metadata.get('general.architecture'), architecture);
    assert.equal(metadata.get(`${architecture}.block_count`), shape.numLayers);
    assert.equal(metadata.get(`${architecture}.attention.head_count_kv`), shape.numKvHeads);
    assert.equal(metadata.get(`${architecture}.rope.freq_base`), shape.ropeTheta);
    assert.equal((metadata.get('tokenizer.ggml.tokens') as string[]).length, shape.vocabSize);
  });
}
