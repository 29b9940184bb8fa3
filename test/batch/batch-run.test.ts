import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { openBatchFiles } from '../../src/batch/batch-files.ts';
import type { BatchReply, BatchRequest } from '../../src/batch/batch-line.ts';
import { readBatchOptions } from '../../src/batch/batch-options.ts';
import { runBatch } from '../../src/batch/batch-run.ts';
import { StartupError } from '../../src/core/errors.ts';
import { temporaryFolder } from '../support/checkpoint-folder.ts';

const CHAT = '/v1/chat/completions';
const line = (customId: string, fields: object = {}) =>
  JSON.stringify({ custom_id: customId, method: 'POST', url: CHAT, body: {}, ...fields });

async function run(t: TestContext, input: string, send: (request: BatchRequest) => Promise<BatchReply>, parallelism = 4) {
  const folder = temporaryFolder(t);
  const [inputPath, outputPath] = [join(folder, 'in.jsonl'), join(folder, 'out.jsonl')];
  writeFileSync(inputPath, input);
  const counts = await runBatch({ inputPath, outputPath, parallelism, send });
  const text = readFileSync(outputPath, 'utf8');
  assert.ok(text === '' || text.endsWith('\n'));
  return {
    counts,
    lines: text
      .split('\n')
      .slice(0, -1)
      .map((json) => JSON.parse(json)),
  };
}

const good = (request: BatchRequest): BatchReply => ({ status: 200, requestId: 'r', body: { echo: request.customId } });

describe('a batch', () => {
  it('has its replies in the order of its lines, whichever comes first, and no more under way than allowed', async (t) => {
    const waiting: { readonly id: string; readonly answer: () => void }[] = [];
    let most = 0;
    const send = (request: BatchRequest) =>
      new Promise<BatchReply>((resolve) => {
        const entry = {
          id: request.customId,
          answer: () => {
            waiting.splice(waiting.indexOf(entry), 1);
            resolve(good(request));
          },
        };
        waiting.push(entry);
        most = Math.max(most, waiting.length);
        // The last that came is answered first.
        setImmediate(() => setImmediate(() => waiting.at(-1)?.answer()));
      });
    const ids = Array.from({ length: 30 }, (_, i) => `id-${i}`);
    const { lines, counts } = await run(t, ids.map((id) => line(id)).join('\n'), send, 3);
    assert.deepEqual(
      lines.map(({ custom_id }) => custom_id),
      ids,
    );
    assert.deepEqual(counts, { numDone: 30, numFailed: 0 });
    assert.equal(most, 3);
    assert.match(lines[0].id, /^troupe-[0-9a-f]{32}$/);
    assert.deepEqual([lines[0].response, lines[0].error], [{ status_code: 200, request_id: 'r', body: { echo: 'id-0' } }, null]);
  });

  it('tells each bad line with its number and goes on', async (t) => {
    const bad = [
      '{"custom_id": ',
      '[]',
      line('a', { method: 'GET' }),
      line('b', { url: 'http://169.254.169.254/latest' }),
      line('c', { url: '/metrics' }),
      line('d', { body: 'x' }),
      line('e', { body: { stream: true } }),
      JSON.stringify({ method: 'POST', url: CHAT, body: {} }),
      line('same'),
      line('same'),
    ];
    const sent: string[] = [];
    const { lines, counts } = await run(t, `\n${bad.join('\r\n\n')}\n  \n${line('last')}\n`, async (request) => {
      sent.push(request.customId);
      return good(request);
    });
    assert.deepEqual(sent, ['same', 'last']);
    assert.deepEqual(counts, { numDone: 11, numFailed: 9 });
    const messages = lines.map(({ error, response }) => (response === null ? error.message : null));
    assert.match(messages[0], /^Line 2 is not valid JSON/);
    assert.match(messages[1], /^Line 4 is not a JSON object/);
    for (const [i, what] of [/method/, /`url` must be one of/, /`url`/, /`body`/, /`stream`/, /custom_id/].entries())
      assert.match(messages[i + 2], what);
    assert.match(messages[9], /^Line 20: `custom_id` is that of line 18 too/);
    assert.deepEqual([lines[2].custom_id, lines[0].custom_id, lines[10].error], ['a', null, null]);
  });

  it('has the server’s refusals in `response` and `error`, and a server that is gone as an error of that line', async (t) => {
    const error = { message: 'no', type: 'invalid_request_error', param: 'n', code: 'invalid_value' };
    const send = async ({ customId }: BatchRequest): Promise<BatchReply> => {
      if (customId === 'gone') throw new Error('ECONNREFUSED');
      return { status: 400, requestId: 'r', body: { error } };
    };
    const { lines, counts } = await run(t, `${line('refused')}\n${line('gone')}`, send);
    assert.deepEqual([lines[0].response.status_code, lines[0].response.body, lines[0].error], [400, { error }, error]);
    assert.equal(lines[1].error.code, 'no_answer');
    assert.deepEqual(counts, { numDone: 2, numFailed: 2 });
  });

  it('may be empty', async (t) => assert.deepEqual((await run(t, '', async (request) => good(request))).lines, []));
});

describe('the files of a batch', () => {
  /** A server that fails the first calls of each kind. */
  async function flaky(t: TestContext, numFailures: number, status = 503) {
    const calls: string[] = [];
    let put = '';
    const server = createServer((request, response) => {
      calls.push(request.method ?? '');
      const fails = calls.filter((method) => method === request.method).length <= numFailures;
      let text = '';
      request.on('data', (piece) => (text += piece));
      request.on('end', () => {
        if (request.method === 'PUT' && !fails) put = text;
        response.writeHead(fails ? status : 200).end(fails ? '' : 'the input');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/x`, calls, put: () => put };
  }

  it('may be URLs, tried again when their server fails', async (t) => {
    const { url, calls, put } = await flaky(t, 2);
    const files = await openBatchFiles({ input: url, output: url, temporaryDir: temporaryFolder(t) });
    assert.equal(readFileSync(files.inputPath, 'utf8'), 'the input');
    writeFileSync(files.outputPath, 'the output');
    await files.deliver();
    await files.close();
    assert.equal(put(), 'the output');
    assert.deepEqual(calls, ['GET', 'GET', 'GET', 'PUT', 'PUT', 'PUT']);
  });

  it('that cannot be read or written are refused in one line before anything starts', async (t) => {
    const { url, calls } = await flaky(t, 1, 404);
    const folder = temporaryFolder(t);
    const input = join(folder, 'in');
    writeFileSync(input, '');
    for (const [options, message] of [
      [{ input: '/nope', output: join(folder, 'out') }, /The input \/nope cannot be read: ENOENT: no such file or directory$/],
      [{ input, output: '/nope/out' }, /The output \/nope\/out cannot be written/],
      [{ input: url, output: join(folder, 'out') }, /GET http.*failed after 1 try: the answer is HTTP 404/],
    ] as const) {
      const opening = openBatchFiles({ ...options, temporaryDir: null });
      await assert.rejects(
        opening,
        (error) => error instanceof StartupError && message.test(error.message) && !error.message.includes('\n'),
      );
    }
    assert.deepEqual(calls, ['GET']);
  });
});

it('-i and -o in all spellings are taken out of the flags, and both are needed', () => {
  const wanted = { input: 'a', output: 'b', temporaryDir: null };
  assert.deepEqual(readBatchOptions(['-i', 'a', '--max-num-seqs', '4', '-o', 'b']), { options: wanted, rest: ['--max-num-seqs', '4'] });
  assert.deepEqual(readBatchOptions(['--input-file=a', '--output_file', 'b']).options, wanted);
  assert.equal(readBatchOptions(['--help']).options, null);
  assert.throws(() => readBatchOptions(['-i', 'a']), /needs -i FILE\|URL.*-o/);
  assert.throws(() => readBatchOptions(['-o', 'b', '-i']), /-i needs a file/);
});
