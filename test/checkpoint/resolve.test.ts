import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { resolveModel } from '../../src/checkpoint/resolve.ts';
import { StartupError } from '../../src/core/errors.ts';
import { temporaryFolder, writeTinyModel } from '../support/checkpoint-folder.ts';

const fails = (model: string, env: NodeJS.ProcessEnv, pattern: RegExp) =>
  assert.throws(
    () => resolveModel(model, env),
    (error: Error) => error instanceof StartupError && pattern.test(error.message) && !error.message.includes('\n'),
  );

test('a folder is taken as it is', (t) => {
  const dir = join(temporaryFolder(t), 'my-model');
  writeTinyModel(dir);
  assert.deepEqual(resolveModel(dir, {}), { dir, name: 'my-model' });
});

test('a hub id is the snapshot that main names, wherever the cache lies', (t) => {
  const home = temporaryFolder(t);
  const repo = join(home, 'hub', 'models--baidu--ERNIE-4.5-0.3B-PT');
  for (const revision of ['aaa', 'bbb']) writeTinyModel(join(repo, 'snapshots', revision));
  mkdirSync(join(repo, 'refs'));
  writeFileSync(join(repo, 'refs', 'main'), 'bbb\n');
  const expected = { dir: join(repo, 'snapshots', 'bbb'), name: 'ERNIE-4.5-0.3B-PT' };
  assert.deepEqual(resolveModel('baidu/ERNIE-4.5-0.3B-PT', { HF_HOME: home }), expected);
  assert.deepEqual(resolveModel('baidu/ERNIE-4.5-0.3B-PT', { HF_HUB_CACHE: join(home, 'hub') }), expected);
});

test('a model that is not there names the download, a broken one what is missing', (t) => {
  const cache = temporaryFolder(t);
  const env = { HF_HUB_CACHE: cache };
  fails('qwen/Qwen3-0.6B', env, /not in the local Hugging Face cache .* hf download qwen\/Qwen3-0\.6B --cache-dir /);
  mkdirSync(join(cache, 'models--qwen--Qwen3-0.6B', 'snapshots', 'aaa'), { recursive: true });
  fails('qwen/Qwen3-0.6B', env, /incomplete: config\.json is missing/);
  fails('./nowhere', env, /no such folder, and not a hub id/);
  fails(cache, env, /config\.json is missing: this is not a model folder/);
});

test('Paddle weights are refused with the variant to take', (t) => {
  const cache = temporaryFolder(t);
  fails('baidu/ERNIE-4.5-0.3B-Paddle', { HF_HUB_CACHE: cache }, /Paddle weights.* Take the PyTorch variant: baidu\/ERNIE-4\.5-0\.3B-PT$/);
  const dir = join(cache, 'ERNIE-4.5-0.3B');
  writeTinyModel(dir);
  rmSync(join(dir, 'model.safetensors'));
  writeFileSync(join(dir, 'model_state.pdparams'), '');
  fails(dir, {}, /Paddle weights.* ERNIE-4\.5-0\.3B-PT$/);
});
