/** The benches as commands, on the tiny shape and against a scripted server. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const folder = mkdtempSync(join(tmpdir(), 'bench-commands-'));
after(() => rmSync(folder, { recursive: true }));
const json = join(folder, 'figures.json');

async function bench(
  name: string,
  ...flags: string[]
): Promise<{ status: number | null; stdout: string; stderr: string; figures: Record<string, number> }> {
  rmSync(json, { force: true });
  const child = spawn(process.execPath, ['--import', 'tsx', `bench/${name}.ts`, ...flags, '--json', json], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    env: { ...process.env, XDG_CACHE_HOME: folder },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status, stdout, stderr, figures: JSON.parse(readFileSync(json, 'utf8')) as Record<string, number> };
}

test('bench:offline counts every prompt and output token of the engine', async () => {
  const flags = ['--shape', 'tiny-ernie', '--num-prompts', '5', '--input-len', '40', '--output-len', '6', '--threads', '1'];
  const { status, stdout, stderr, figures } = await bench('offline', ...flags);
  assert.equal(status, 0, stderr);
  assert.equal(figures.total_input_tokens, 200);
  assert.equal(figures.total_output_tokens, 30);
  for (const key of ['prefill_tokens_per_second', 'decode_tokens_per_second', 'tokens_per_second']) assert.ok(figures[key]! > 0, key);
  assert.match(stdout, /Prefill alone/);
});

test('bench:online takes its counts from the usage of each stream', async (t) => {
  const bodies: { prompt: number[]; max_tokens: number; ignore_eos: boolean }[] = [];
  const server = createServer(async (request, response) => {
    if (request.url === '/v1/models') {
      response.end('{"data":[{"id":"scripted"}]}');
      return;
    }
    let text = '';
    for await (const piece of request) text += piece;
    const body = JSON.parse(text) as (typeof bodies)[number];
    bodies.push(body);
    const data = (chunk: object) => response.write(`data: ${JSON.stringify(chunk)}\n\n`);
    // Three tokens in one chunk, the rest in another.
    data({ choices: [{ text: 'abc' }] });
    data({ choices: [{ text: 'def', finish_reason: 'length' }] });
    data({ choices: [], usage: { prompt_tokens: body.prompt.length, completion_tokens: body.max_tokens } });
    response.end('data: [DONE]\n\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const flags = [
    '--num-prompts',
    '6',
    '--num-warmups',
    '1',
    '--input-len',
    '20',
    '--output-len',
    '9',
    '--goodput',
    'ttft:60000 e2el:60000',
  ];
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { status, stdout, stderr, figures } = await bench('online', '--base-url', url, ...flags);
  assert.equal(status, 0, stderr);
  assert.equal(bodies.length, 7);
  assert.ok(bodies.every((body) => body.prompt.length === 20 && body.max_tokens === 9 && body.ignore_eos));
  assert.equal(figures.completed, 6);
  assert.equal(figures.total_input_tokens, 120);
  assert.equal(figures.total_output_tokens, 54);
  assert.ok(Math.abs(figures.request_goodput! - figures.request_throughput!) < 1e-9);
  assert.match(stdout, /TTFT from the intended sending/);
});
