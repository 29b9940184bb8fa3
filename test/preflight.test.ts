import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readConfig } from '../src/config-sources.ts';
import { StartupError } from '../src/core/errors.ts';
import { preflight, type ServePlan } from '../src/preflight.ts';
import { temporaryFolder } from './support/checkpoint-folder.ts';
import { writeSparseModel } from './support/sparse-checkpoint.ts';

const MIB = 2 ** 20;
/** 1.5 GiB of fp32 weights. */
const BIG = 2 ** 19;

function plan(t: TestContext, intermediateSize: number, availableBytes: number, args: readonly string[] = []): ServePlan {
  const dir = join(temporaryFolder(t), 'model');
  writeSparseModel(dir, intermediateSize);
  const { config } = readConfig({ args: ['--model', dir, ...args], env: {}, defaultFile: 'config/default.yaml' });
  return preflight(config, dir, {}, { availableBytes, threads: { threads: 3, why: 'three of them' } });
}

function refuses(run: () => unknown, says: readonly RegExp[], saysNot: readonly RegExp[] = []): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof StartupError);
    assert.ok(!error.message.includes('\n'));
    for (const pattern of says) assert.match(error.message, pattern);
    for (const pattern of saysNot) assert.doesNotMatch(error.message, pattern);
    return true;
  });
}

test('a model that does not fit is refused with the numbers and the quantisation that fits', (t) => {
  refuses(
    () => plan(t, BIG, 1024 * MIB),
    [/1\.5 GiB for its weights/, /1\.0 GiB of memory are available/, /--quantization wint8 needs \d+ MiB/],
  );
});

test('a model that fits in no quantisation needs to be smaller', (t) => {
  refuses(() => plan(t, BIG, 350 * MIB), [/350 MiB of memory are available; a smaller model is needed\.$/], [/kv-cache-memory-bytes/]);
});

test('weights without room for one KV block are refused with a flag that gives room, which is not the size of the KV cache', (t) => {
  const { weightBytes } = plan(t, BIG, 8192 * MIB);
  const barely = weightBytes + 300 * MIB + 1024 * 16;
  refuses(() => plan(t, BIG, barely), [/64\.0 KiB for one block/, /--quantization wint8/], [/kv-cache-memory-bytes/]);
  const tiny = plan(t, 64, 8192 * MIB, ['--quantization', 'wint4']).weightBytes + 300 * MIB + 1024 * 16;
  refuses(() => plan(t, 64, tiny, ['--quantization', 'wint4']), [/lower --block-size/], [/kv-cache-memory-bytes/]);
});

test('a KV cache that does not fit is refused with what is left and its flag', (t) => {
  refuses(
    () => plan(t, 64, 1024 * MIB, ['--kv-cache-memory-bytes', '2GiB']),
    [/needs 2\.0 GiB, but 7\d\d MiB/, /lower it with --kv-cache-memory-bytes/],
  );
});

test('a sequence that the KV cache cannot hold is refused with the flags that help', (t) => {
  const args = ['--kv-cache-memory-bytes', '16KiB', '--block-size', '16', '--max-model-len', '32'];
  refuses(() => plan(t, 64, 1024 * MIB, args), [/holds 16 tokens/, /raise --kv-cache-memory-bytes or lower --max-model-len/]);
});

test('a big model gets a hint at wint8 with both sizes, a small or a quantised one does not', (t) => {
  const [hint, ...others] = plan(t, BIG, 8192 * MIB).hints;
  assert.match(hint ?? '', /^--quantization wint8 would hold the weights in \d+ MiB instead of 1\.5 GiB/);
  assert.deepEqual(others, []);
  assert.deepEqual(plan(t, 64, 8192 * MIB).hints, []);
  assert.deepEqual(plan(t, BIG, 8192 * MIB, ['--quantization', 'wint8']).hints, []);
});

test("the machine's threads hold unless the flag says otherwise", (t) => {
  assert.deepEqual(plan(t, 64, 1024 * MIB).threads, { threads: 3, why: 'three of them' });
  assert.deepEqual(plan(t, 64, 1024 * MIB, ['--threads', '2']).threads, { threads: 2, why: '--threads' });
});

test('a chat template is taken from a file or from the flag itself, and one that cannot be read is refused', (t) => {
  const file = join(temporaryFolder(t), 'template.jinja');
  writeFileSync(file, '{{ messages[0].content }}!');
  const template = (given: string): string | null => plan(t, 64, 1024 * MIB, ['--chat-template', given]).config.chatTemplate;
  assert.equal(template(file), '{{ messages[0].content }}!');
  assert.equal(template('{{ bos_token }}'), '{{ bos_token }}');
  refuses(() => template('nowhere.jinja'), [/--chat-template nowhere\.jinja is no file/]);
  refuses(() => template('{% for'), [/--chat-template: line 1: /]);
});
