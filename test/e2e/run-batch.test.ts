/** `troupe run-batch` from file to file, with the embedded model. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/checkpoint-folder.ts';
import { runTroupe } from '../support/server.ts';

test('a batch is answered in order, a bad line is told, and the exit code says so', async (t) => {
  const folder = temporaryFolder(t);
  const [input, output] = [join(folder, 'in.jsonl'), join(folder, 'out.jsonl')];
  const chat = (i: number, body = {}) => ({
    custom_id: `c${i}`,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 4 + i, temperature: 0, ignore_eos: true, ...body },
  });
  const lines = Array.from({ length: 20 }, (_, i) => chat(19 - i));
  writeFileSync(input, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const fine = await runTroupe(['run-batch', '-i', input, '-o', output, '--max-num-seqs', '4']);
  assert.equal(fine.code, 0, fine.stderr);
  assert.equal(fine.stdout, '');
  assert.match(fine.stderr, /^run-batch: 20 lines, 20 answered, 0 failed\n$/);
  const replies = readFileSync(output, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    replies.map(({ custom_id, response, error }) => [custom_id, response.status_code, response.body.usage.completion_tokens, error]),
    lines.map(({ custom_id, body }) => [custom_id, 200, body.max_tokens, null]),
  );

  writeFileSync(input, [JSON.stringify(chat(1)), '{oops', JSON.stringify(chat(2, { top_p: 7 })), JSON.stringify(chat(3))].join('\n'));
  const mixed = await runTroupe(['run-batch', '-i', input, '-o', output]);
  assert.equal(mixed.code, 1);
  assert.match(mixed.stderr, /4 lines, 2 answered, 2 failed/);
  const [first, second, third, fourth] = readFileSync(output, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual([first.error, fourth.error], [null, null]);
  assert.match(second.error.message, /^Line 2 /);
  assert.deepEqual([third.response.status_code, third.error.param], [400, 'top_p']);
});

test('bad usage ends with exit code 2 and one line', async (t) => {
  const output = join(temporaryFolder(t), 'out.jsonl');
  for (const [args, message] of [
    [['-o', output], /needs -i/],
    [['-i', '/nope', '-o', output], /cannot be read/],
    [['-i', 'package.json', '-o', output, '--model', '/nope'], /\/nope/],
    [['-i', 'package.json', '-o', output, '--no-such-flag'], /Unknown flag/],
  ] as const) {
    const { code, stderr } = await runTroupe(['run-batch', ...args]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
  }
});
