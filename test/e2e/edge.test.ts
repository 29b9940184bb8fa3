/** What meets a client or an operator at the edge of the running server. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { runTroupe, startServer } from '../support/server.ts';

const statusWithHeader = (url: string, numBytes: number): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const call = request(`${url}/v1/models`, { headers: { authorization: `Bearer ${'x'.repeat(numBytes)}` }, agent: false }, (reply) => {
      reply.resume();
      resolve(reply.statusCode);
    });
    call.on('error', reject).end();
  });

test('headers of 12 KiB are taken, of 20 KiB they are 431', async (t) => {
  const server = await startServer(t).ready();
  assert.deepEqual([await statusWithHeader(server.url, 12_288), await statusWithHeader(server.url, 20_480)], [200, 431]);
});

for (const [args, message] of [
  [['--device', 'cuda'], /cuda/],
  [['--onnxruntime-library', '/nope.so'], /\/nope\.so/],
  [['--cache-dir', '/dev/full', '--quantization', 'wint4'], /\/dev\/full/],
] as const) {
  test(`${args.join(' ')} ends with one line on stderr and none about processes in the log`, async () => {
    const { code, stderr, stdout } = await runTroupe(['serve', '--log-format', 'json', ...args]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
    assert.doesNotMatch(stdout, /process died|stopped|started again/);
  });
}
