import assert from 'node:assert/strict';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readSafetensorsHeader, readTensorDirectory } from '../../src/checkpoint/safetensors.ts';
import { readFloat32 } from '../../src/checkpoint/weights.ts';
import { StartupError } from '../../src/core/errors.ts';
import { float32Tensor, temporaryFolder, writeSafetensors } from '../support/checkpoint-folder.ts';

test('a tensor is found at its offset, with its shape', (t) => {
  const file = join(temporaryFolder(t), 'model.safetensors');
  writeSafetensors(file, { a: float32Tensor([2], (i) => i), b: float32Tensor([2, 3], (i) => 10 + i) });
  const b = readSafetensorsHeader(file).get('b')!;
  assert.deepEqual(b.shape, [2, 3]);
  assert.deepEqual(Array.from(readFloat32(b)), [10, 11, 12, 13, 14, 15]);
});

test('bfloat16 and float16 become the float32 values they stand for', (t) => {
  const file = join(temporaryFolder(t), 'model.safetensors');
  const halves = (values: number[]) => new Uint8Array(Uint16Array.from(values).buffer);
  writeSafetensors(file, {
    bf16: { dtype: 'BF16', shape: [4], bytes: halves([0x3f80, 0xc000, 0x0001, 0x7f80]) },
    // 1, -2, the smallest subnormal, the largest finite, infinity
    fp16: { dtype: 'F16', shape: [5], bytes: halves([0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00]) },
  });
  const tensors = readSafetensorsHeader(file);
  assert.deepEqual(Array.from(readFloat32(tensors.get('bf16')!)), [1, -2, 2 ** -133, Infinity]);
  assert.deepEqual(Array.from(readFloat32(tensors.get('fp16')!)), [1, -2, 2 ** -24, 65504, Infinity]);
});

test('a sharded checkpoint is one directory', (t) => {
  const dir = temporaryFolder(t);
  writeSafetensors(join(dir, 'one.safetensors'), { a: float32Tensor([1]) });
  writeSafetensors(join(dir, 'two.safetensors'), { b: float32Tensor([2]) });
  const index = { weight_map: { a: 'one.safetensors', b: 'two.safetensors' } };
  writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify(index));
  const tensors = readTensorDirectory(dir);
  assert.equal(tensors.get('b')?.file, join(dir, 'two.safetensors'));
});

test('what is missing or damaged is named in one line', (t) => {
  const dir = temporaryFolder(t);
  const fails = (path: string, pattern: RegExp) => {
    assert.throws(
      () => (path === dir ? readTensorDirectory(dir) : readSafetensorsHeader(path)),
      (error: Error) => error instanceof StartupError && pattern.test(error.message) && !error.message.includes('\n'),
    );
  };
  fails(dir, /no weights found: expected model\.safetensors/);

  const file = join(dir, 'x.safetensors');
  writeSafetensors(file, { a: float32Tensor([100]) });
  truncateSync(file, readFileSync(file).length - 4);
  fails(file, /x\.safetensors: truncated: tensor a ends at byte \d+, the file has \d+/);
  truncateSync(file, 30);
  fails(file, /x\.safetensors: truncated: the header needs/);
  truncateSync(file, 3);
  fails(file, /3 bytes long/);
  writeFileSync(file, Buffer.alloc(64, 0xff));
  fails(file, /claims .* bytes; is this a safetensors file/);
  writeFileSync(file, Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{"a:')]));
  fails(file, /its header is not JSON/);
  writeSafetensors(file, { a: { dtype: 'F8_E4M3', shape: [4], bytes: new Uint8Array(4) } });
  fails(file, /tensor a has type F8_E4M3; supported are BF16, F16 and F32/);
  writeSafetensors(file, { a: { dtype: 'F32', shape: [3], bytes: new Uint8Array(8) } });
  fails(file, /tensor a: F32 \[3\] needs 12 bytes, the header gives it 8/);

  const index = join(dir, 'model.safetensors.index.json');
  writeFileSync(index, JSON.stringify({ weight_map: { a: 'gone.safetensors' } }));
  fails(dir, /gone\.safetensors: missing, although model\.safetensors\.index\.json names it for tensor a/);
  writeFileSync(index, JSON.stringify({ weight_map: { a: '../x.safetensors' } }));
  fails(dir, /expected the name of a file in this folder/);
  writeFileSync(index, '{}');
  fails(dir, /not a shard index/);
});
