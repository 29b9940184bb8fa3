/** Start-up as a user meets it: what cannot work is one line and exit code 2. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryFolder } from '../support/checkpoint-folder.ts';
import { runTroupe, startServer } from '../support/server.ts';

async function refuses(args: string[], message: RegExp, env: Record<string, string> = {}): Promise<void> {
  const { code, stderr, stdout } = await runTroupe(['serve', '--log-format', 'json', ...args], env);
  assert.equal(code, 2, `${stdout}\n${stderr}`);
  assert.match(stderr.trim(), message);
  assert.equal(stderr.trim().split('\n').length, 1, stderr);
}

function copyOfMini(t: TestContext, change: (dir: string) => void): string {
  const dir = join(temporaryFolder(t), 'mini');
  cpSync('models/troupe-mini', dir, { recursive: true });
  change(dir);
  return dir;
}

function withConfig(t: TestContext, change: Record<string, unknown>): string {
  return copyOfMini(t, (dir) => {
    const path = join(dir, 'config.json');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...change }));
  });
}

test('--max-model-len above the model is refused with both numbers', () => refuses(['--max-model-len', '4096'], /4096.*2048/));
test('ranks that the heads cannot be divided by are refused', () =>
  refuses(['--tensor-parallel-size', '3'], /--tensor-parallel-size 3 .* 4 attention heads/));
test('ranks that would cut a quantised block are refused', () =>
  refuses(
    ['--tensor-parallel-size', '4', '--quantization', 'wint4'],
    /wint4 blocks of its attention output span 128 inputs, and a rank has 64/,
  ));
test('a KV cache that cannot hold one sequence names the flag', () =>
  refuses(['--kv-cache-memory-bytes', '1MiB', '--max-model-len', '2048'], /--kv-cache-memory-bytes.*--max-model-len/));
test('a KV cache above the memory of the machine says the numbers', () =>
  refuses(['--kv-cache-memory-bytes', '90000GiB'], /TiB.*GiB.*--kv-cache-memory-bytes/));
test('a folder that is not there is refused', () => refuses(['--model', './no/such/folder'], /no\/such\/folder/));
test('a hub id that is not in the local cache says what to download', (t) =>
  refuses(['--model', 'Qwen/Qwen3-0.6B'], /Qwen\/Qwen3-0\.6B.*download/, { HF_HOME: temporaryFolder(t) }));
test('Paddle weights name the -PT variant', (t) =>
  refuses(['--model', 'baidu/ERNIE-4.5-0.3B-Paddle'], /baidu\/ERNIE-4\.5-0\.3B-PT/, { HF_HOME: temporaryFolder(t) }));
test('an unknown architecture lists the supported ones', (t) =>
  refuses(
    ['--model', withConfig(t, { model_type: 'gpt2', architectures: ['GPT2LMHeadModel'] })],
    /gpt2.*ernie4_5.*llama.*mistral.*qwen2.*qwen3/i,
  ));
test('a tensor of the wrong shape names file, tensor and both shapes', (t) =>
  refuses(['--model', withConfig(t, { intermediate_size: 640 })], /model\.safetensors.*mlp.*640.*512|model\.safetensors.*mlp.*512.*640/));
test('a truncated weight file is named', (t) =>
  refuses(['--model', copyOfMini(t, (dir) => truncateSync(join(dir, 'model.safetensors'), 1_000_000))], /model\.safetensors/));
test('a damaged tokenizer is named', (t) =>
  refuses(['--model', copyOfMini(t, (dir) => writeFileSync(join(dir, 'tokenizer.json'), '{"version": '))], /tokenizer\.json/));
test('a folder without config.json is named', (t) => {
  const dir = join(temporaryFolder(t), 'empty');
  mkdirSync(dir);
  return refuses(['--model', dir], /config\.json/);
});

test('a port in use is refused', async (t: TestContext) => {
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve));
  t.after(() => squatter.close());
  const { port } = squatter.address() as { port: number };
  await refuses(['--port', String(port)], new RegExp(`${port}.*in use|in use.*${port}`));
});

test('a second server on the same port is refused while the first goes on', async (t) => {
  const server = await startServer(t).ready();
  await refuses(['--port', new URL(server.url).port], /in use/);
  assert.equal(await server.status('/ready'), 200);
});

test('the start-up lines say address, model, device, threads, KV cache and a curl line that works', async (t) => {
  const server = await startServer(t, ['--threads', '1']).ready();
  const line = await server.logged('serving');
  assert.equal(line.address, server.url);
  assert.equal(line.model, 'troupe-mini');
  assert.equal(line.device, 'cpu');
  assert.equal(line.threads, 1);
  assert.match(String(line.kvCache), /MiB/);
  assert.match(String(line.try), /^curl http:\/\/127\.0\.0\.1:\d+\/v1\/chat\/completions/);
});

test('the banner of --log-format text says the same, and its curl line works', async (t) => {
  const server = startServer(t, ['--log-format', 'text', '--threads', '1']);
  const lines = () => server.logs.map(({ msg }) => String(msg));
  while (!lines().some((line) => line.startsWith('  try'))) await server.tick('waiting for the banner');
  const row = (name: string): string =>
    lines()
      .find((line) => line.startsWith(`  ${name}`))!
      .slice(`  ${name}`.length)
      .trim();
  assert.match(row('address'), /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.match(row('model'), /^troupe-mini \(ernie4_5, 4\.6 million parameters/);
  assert.match(row('device'), /^cpu, 1 thread /);
  assert.match(row('KV cache'), /^384 MiB \(65536 tokens\), 32 sequences together, each up to 2048 tokens$/);
  assert.ok(row('try').startsWith(`curl ${row('address')}/v1/chat/completions`));
  const { stdout } = await promisify(execFile)('sh', ['-c', row('try')]);
  assert.equal(JSON.parse(stdout).choices[0].message.role, 'assistant');
});

test('troupe serve DIR serves that folder', async (t) => {
  const server = await startServer(t, [copyOfMini(t, () => {})]).ready();
  assert.equal((await server.logged('serving')).model, 'mini');
});

test('a checkpoint elsewhere is served under its folder name, never its path', async (t) => {
  const dir = copyOfMini(t, () => {});
  const server = await startServer(t, ['--model', dir]).ready();
  const models = (await (await fetch(`${server.url}/v1/models`)).json()) as { data: { id: string }[] };
  assert.equal(models.data[0]?.id, 'mini');
  assert.ok(!JSON.stringify(models).includes(dir));
});
