import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { weightsFingerprint } from '../../src/checkpoint/fingerprint.ts';
import { inspectCheckpoint } from '../../src/checkpoint/inspect.ts';
import {
  float32Tensor,
  type TensorSource,
  TINY_CONFIG,
  temporaryFolder,
  tinyTensors,
  writeSafetensors,
} from '../support/checkpoint-folder.ts';

/** The fingerprint of the tiny model with some tensors replaced. */
function fingerprint(t: TestContext, config: object, replaced: Readonly<Record<string, TensorSource>> = {}): string {
  const dir = join(temporaryFolder(t), 'model');
  mkdirSync(dir);
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  writeSafetensors(join(dir, 'model.safetensors'), { ...tinyTensors(), ...replaced });
  const checkpoint = inspectCheckpoint(dir);
  return weightsFingerprint(checkpoint.config, checkpoint.weights);
}

test('one model in two folders has one fingerprint, another config another', (t) => {
  assert.equal(fingerprint(t, TINY_CONFIG), fingerprint(t, TINY_CONFIG));
  assert.notEqual(fingerprint(t, TINY_CONFIG), fingerprint(t, { ...TINY_CONFIG, rms_norm_eps: 1e-3 }));
});

test('two models with one config and other weights have two, whichever tensor differs', (t) => {
  const names = Object.keys(tinyTensors());
  const found = new Set([fingerprint(t, TINY_CONFIG)]);
  for (const name of names) {
    const { shape } = tinyTensors()[name]!;
    found.add(fingerprint(t, TINY_CONFIG, { [name]: float32Tensor(shape, (i) => (i === 0 ? 0.25 : 0.5)) }));
  }
  assert.equal(found.size, names.length + 1);
});

test('a large tensor differs by its first value, its last one, and by a change throughout', (t) => {
  const config = { ...TINY_CONFIG, vocab_size: 100_000 };
  const shape = [100_000, 8];
  const embedding = (value: (i: number) => number) => fingerprint(t, config, { 'model.embed_tokens.weight': float32Tensor(shape, value) });
  const found = [
    embedding(() => 0),
    embedding((i) => (i === 0 ? 1 : 0)),
    embedding((i) => (i === 799_999 ? 1 : 0)),
    embedding((i) => i * 1e-9),
  ];
  assert.equal(new Set(found).size, found.length);
});
