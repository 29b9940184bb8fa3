/** Online quantisation as an operator meets it: done once, kept on disk, and never half. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { temporaryFolder } from '../support/checkpoint-folder.ts';
import { isAlive } from '../support/child-processes.ts';
import { largeModel } from '../support/large-model.ts';
import { type Server, startServer } from '../support/server.ts';
import { streamChat } from '../support/stream-chat.ts';

const hello = { messages: [{ role: 'user', content: 'Hello!' }], temperature: 0, max_tokens: 20 };

/** The percentages that were logged. */
const progress = (server: Server, quantization: string): unknown[] =>
  server.logs.filter(({ msg }) => msg === `quantising to ${quantization}`).map(({ percent }) => percent);
const filesIn = (folder: string, suffix: string): string[] => readdirSync(folder).filter((name) => name.endsWith(suffix));

async function stop(server: Server): Promise<void> {
  process.kill(server.process.pid!, 'SIGTERM');
  assert.equal(await server.exited, 0);
}

/** Starts to quantise a model into `cacheDir` and returns when a part of it is written. */
async function halfQuantised(server: Server, cacheDir: string): Promise<void> {
  await server.logged('quantising to wint8');
  while (progress(server, 'wint8').at(-1) !== 25) await server.tick('waiting for a quarter to be quantised');
  assert.equal(filesIn(cacheDir, '.tmp').length, 1);
  assert.deepEqual(filesIn(cacheDir, '.weights'), []);
}

test('--quantization wint4: the first start shows its progress, the second takes the cache, and both answer the same with sense', async (t) => {
  const args = ['--quantization', 'wint4', '--cache-dir', temporaryFolder(t)];
  const first = await startServer(t, args).ready();
  assert.equal(progress(first, 'wint4').at(-1), 100);
  const { text, finishReason } = await streamChat(first.url, hello);
  assert.match(text, /^(Hello|Hi)/);
  assert.equal(finishReason, 'stop');
  await stop(first);

  const second = await startServer(t, args).ready();
  assert.deepEqual(progress(second, 'wint4'), []);
  assert.equal((await streamChat(second.url, hello)).text, text);
});

test('kill -9 on the engine while it quantises: the next one does it again, whole, and removes the half', async (t) => {
  const cacheDir = temporaryFolder(t);
  const server = await startServer(t, ['--model', largeModel(t), '--quantization', 'wint8', '--cache-dir', cacheDir]).listening();
  await halfQuantised(server, cacheDir);
  server.killProcess('engine');
  await server.ready();
  assert.equal(progress(server, 'wint8').at(-1), 100);
  assert.deepEqual([filesIn(cacheDir, '.weights').length, filesIn(cacheDir, '.tmp').length], [1, 0]);
});

test('kill -9 on every process while it quantises: the next start does it again, whole, and removes the half', async (t) => {
  const cacheDir = temporaryFolder(t);
  const args = ['--model', largeModel(t), '--quantization', 'wint8', '--cache-dir', cacheDir];
  const killed = await startServer(t, args).listening();
  await halfQuantised(killed, cacheDir);
  const children = killed.children();
  killed.kill();
  await killed.exited;
  while (children.some(({ pid }) => isAlive(pid))) await new Promise((resolve) => setTimeout(resolve, 20));

  const server = await startServer(t, args).ready();
  assert.equal(progress(server, 'wint8').at(-1), 100);
  assert.deepEqual([filesIn(cacheDir, '.weights').length, filesIn(cacheDir, '.tmp').length], [1, 0]);
  assert.equal((await streamChat(server.url, hello)).error, null);
});
