/** The real server behind TLS and on a Unix socket. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeCertificate } from '../support/certificates.ts';
import { temporaryFolder } from '../support/checkpoint-folder.ts';
import { secureCall } from '../support/https-client.ts';
import { runTroupe, startServer } from '../support/server.ts';

const hello = { messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 5 };

test('--ssl-certfile and --ssl-keyfile serve HTTPS, and a renewed certificate without a restart', async (t) => {
  const [old, next] = [makeCertificate(t, 'old'), makeCertificate(t, 'next')];
  const server = await startServer(t, ['--ssl-certfile', old.certFile, '--ssl-keyfile', old.keyFile]).ready();
  assert.match(server.url, /^https:/);
  const ca = [old.ca, next.ca];
  const reply = await secureCall(`${server.url}/v1/chat/completions`, { ca }, hello);
  assert.deepEqual([reply.status, reply.commonName], [200, 'old']);
  assert.match((await secureCall(server.url, { ca })).text, /curl https:\/\//);
  copyFileSync(next.certFile, old.certFile);
  copyFileSync(next.keyFile, old.keyFile);
  await server.logged('certificate renewed');
  assert.equal((await secureCall(`${server.url}/health`, { ca })).commonName, 'next');
});

test('--uds listens on a Unix socket for this user only, which goes with the server', async (t) => {
  const uds = join(temporaryFolder(t), 's.sock');
  const server = await startServer(t, ['--uds', uds]).ready();
  assert.equal(server.url, `unix:${uds}`);
  assert.equal((await secureCall('http://localhost/v1/chat/completions', { socketPath: uds }, hello)).status, 200);
  assert.equal(statSync(uds).mode & 0o077, 0);
  const { code, stderr } = await runTroupe(['serve', '--uds', uds]);
  assert.equal(code, 2);
  assert.match(stderr, /in use/);
  server.process.kill('SIGTERM');
  assert.equal(await server.exited, 0);
  assert.equal(existsSync(uds), false);
});

test('a socket that a killed server left is replaced, a file is not', async (t) => {
  const uds = join(temporaryFolder(t), 's.sock');
  const first = await startServer(t, ['--uds', uds]).ready();
  first.kill();
  await first.exited;
  assert.equal(existsSync(uds), true);
  await startServer(t, ['--uds', uds]).ready();
  const file = `${uds}.txt`;
  writeFileSync(file, 'precious');
  assert.match((await runTroupe(['serve', '--uds', file])).stderr, /exists and is not a socket/);
});

test('wrong combinations end with one line and exit code 2', async (t) => {
  const { certFile, keyFile } = makeCertificate(t);
  const other = makeCertificate(t);
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.after(() => taken.close());
  const port = String((taken.address() as { port: number }).port);
  for (const [args, message] of [
    [['--ssl-keyfile', keyFile], /--ssl-certfile/],
    [['--ssl-certfile', '/nope', '--ssl-keyfile', keyFile], /\/nope cannot be read/],
    [['--ssl-certfile', certFile, '--ssl-keyfile', other.keyFile], /does not belong/],
    [['--ssl-certfile', certFile, '--ssl-keyfile', keyFile, '--port', port], /in use/],
    [['--uds', `/tmp/${'x'.repeat(120)}`], /longer than 107 bytes/],
    [['--uds', '/tmp/troupe-never.sock', '--workers', '2'], /--workers/],
  ] as const) {
    const { code, stderr } = await runTroupe(['serve', ...args]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
  }
});
