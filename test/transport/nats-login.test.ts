/** Ways to log in to a broker, and the one line that a wrong one gets. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { nkeys } from '@nats-io/transport-node';
import { StartupError } from '../../src/core/errors.ts';
import type { NatsTransportOptions } from '../../src/transport/nats-options.ts';
import type { NatsTransport } from '../../src/transport/nats-transport.ts';
import { bytes, numberOf } from '../contract/transport-contract.ts';
import { makeCertificate } from '../support/certificates.ts';
import { temporaryFolder } from '../support/checkpoint-folder.ts';
import { freePort, startNatsServer } from '../support/nats-server.ts';
import { openNats, recordingLog } from '../support/nats-transport.ts';

async function works(transport: NatsTransport): Promise<void> {
  transport.subscribe('echo', (message) => message.respond(message.data));
  assert.equal(numberOf(await transport.request('echo', bytes(3), 10_000)), 3);
}

/** The message of the StartupError: one line, none of the secrets in it or behind it. */
async function refusal(t: TestContext, servers: string | string[], options: Partial<NatsTransportOptions> = {}): Promise<string> {
  const { lines, log } = recordingLog();
  const opened = openNats(t, servers, 'wrong', { connectTimeoutMs: 2000, log, ...options });
  const error = await opened.then(
    () => assert.fail('it was let in'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof StartupError, String(error));
  assert.ok(!error.message.includes('\n'));
  for (const told of [error.message, String(error.stack), ...lines]) assert.doesNotMatch(told, /s3cret|SUA/);
  return error.message;
}

const password = { config: 'authorization { user: troupe, password: s3cret }' };

test('a user and a password, given apart or in the URL', async (t) => {
  const server = await startNatsServer(t, password);
  await works(await openNats(t, server.url, 'a', { auth: { user: 'troupe', password: 's3cret' } }));
  await works(await openNats(t, `nats://troupe:s3cret@127.0.0.1:${server.port}`, 'b'));
});

test('a wrong password, or none, is refused in one line that does not repeat it', async (t) => {
  const server = await startNatsServer(t, password);
  assert.equal(
    await refusal(t, server.url, { auth: { user: 'troupe', password: 's3cret-not' } }),
    `The NATS server at ${server.url} refused the credentials: check user and password, token or nkey seed.`,
  );
  assert.equal(
    await refusal(t, server.url),
    `The NATS server at ${server.url} refused the credentials: it asks for a user and password, a token or an nkey seed.`,
  );
  assert.match(await refusal(t, `nats://troupe:s3cret-not@127.0.0.1:${server.port}`), /127\.0\.0\.1:\d+ refused the credentials/);
});

test('a token', async (t) => {
  const server = await startNatsServer(t, { config: 'authorization { token: s3cret }' });
  await works(await openNats(t, server.url, 'a', { auth: { token: 's3cret' } }));
  await works(await openNats(t, `nats://s3cret@127.0.0.1:${server.port}`, 'b'));
  assert.match(await refusal(t, server.url, { auth: { token: 's3cret-not' } }), /refused the credentials/);
});

test('an nkey', async (t) => {
  const [known, stranger] = [nkeys.createUser(), nkeys.createUser()];
  const seedOf = (key: typeof known): string => new TextDecoder().decode(key.getSeed());
  const server = await startNatsServer(t, { config: `authorization { users: [{ nkey: ${known.getPublicKey()} }] }` });
  await works(await openNats(t, server.url, 'a', { auth: { nkeySeed: `${seedOf(known)}\n` } }));
  assert.match(await refusal(t, server.url, { auth: { nkeySeed: seedOf(stranger) } }), /refused the credentials/);
  assert.match(await refusal(t, server.url, { auth: { nkeySeed: 'SUA-s3cret' } }), /nkey seed .* begins with/);
});

test('TLS: the CA that signed the certificate is needed, and both sides must speak it', async (t) => {
  const { certFile, keyFile } = makeCertificate(t);
  const server = await startNatsServer(t, { config: `tls { cert_file: "${certFile}", key_file: "${keyFile}" }` });
  const plain = await startNatsServer(t);
  await works(await openNats(t, server.url, 'a', { tls: { caFile: certFile } }));
  await works(await openNats(t, `tls://localhost:${server.port}`, 'b', { tls: { caFile: certFile } }));
  assert.match(await refusal(t, server.url), /not trusted \(DEPTH_ZERO_SELF_SIGNED_CERT\): it asks for TLS: give its CA file/);
  assert.match(await refusal(t, `tls://127.0.0.1:${server.port}`), /not trusted .* give the CA file that signed it/);
  assert.match(await refusal(t, plain.url, { tls: { caFile: certFile } }), /does not speak TLS/);
});

test('TLS: a broker that asks for a certificate gets one', async (t) => {
  const { certFile, keyFile } = makeCertificate(t);
  const tls = `cert_file: "${certFile}", key_file: "${keyFile}", ca_file: "${certFile}", verify: true`;
  const server = await startNatsServer(t, { config: `tls { ${tls} }` });
  await works(await openNats(t, server.url, 'a', { tls: { caFile: certFile, certFile, keyFile } }));
  assert.match(await refusal(t, server.url, { tls: { caFile: certFile } }), /client certificate|TLS with the NATS server .* failed/);
});

test('files for TLS that are missing, unreadable or nonsense are named', async (t) => {
  const { certFile, keyFile } = makeCertificate(t);
  const server = await startNatsServer(t, { config: `tls { cert_file: "${certFile}", key_file: "${keyFile}" }` });
  assert.match(await refusal(t, server.url, { tls: { caFile: '/nowhere/ca.pem' } }), /^\/nowhere\/ca\.pem, .*cannot be read \(ENOENT\)/);
  assert.match(await refusal(t, server.url, { tls: { certFile } }), /needs its key/);
  const nonsense = join(temporaryFolder(t), 'key.pem');
  writeFileSync(nonsense, 'no key');
  assert.match(await refusal(t, server.url, { tls: { caFile: certFile, certFile, keyFile: nonsense } }), /TLS .*failed/);
});

test('a broker that is not there is waited for, with one line about it, and given up in time', async (t) => {
  const port = await freePort();
  const { lines, log } = recordingLog();
  const message = await refusal(t, `nats://user:s3cret@127.0.0.1:${port}`, { connectTimeoutMs: 600, log });
  assert.equal(message, `The NATS server at nats://127.0.0.1:${port} cannot be reached (connection refused). Gave up after 0.6 s.`);
  assert.equal(lines.length, 1);
  assert.match(lines[0] as string, /^warn: The NATS server at .* Waiting for it, for up to 1 s\./);
  assert.match(
    await refusal(t, 'nats://no-such-host.invalid:4222', { connectTimeoutMs: 600 }),
    /no-such-host\.invalid:4222 cannot be reached/,
  );
});

test('a broker that comes late is found', async (t) => {
  const server = await startNatsServer(t);
  await server.kill();
  const { lines, log } = recordingLog();
  const opened = openNats(t, server.url, 'a', { log });
  while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await server.restart();
  await works(await opened);
});

test('something else that listens there is no broker', async (t) => {
  const server = createServer((socket) => socket.on('error', () => {}).write('SSH-2.0-something\r\n'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  assert.match(await refusal(t, `nats://127.0.0.1:${port}`, { connectTimeoutMs: 600 }), /unexpected response from server/);
});

test('what is no address is refused without its credentials', async (t) => {
  const message = /is not the address of a NATS server: write nats:\/\/HOST:PORT/;
  for (const server of ['http://troupe:s3cret@host:4222', 'nats://', 'nats://host:99999', 'nats://host/path']) {
    assert.match(await refusal(t, server), message);
  }
  assert.match(await refusal(t, []), /No NATS server was given/);
  assert.match(await refusal(t, 'nats://127.0.0.1', { cluster: 'a.b' }), /"a\.b" cannot be the name of a cluster/);
});

test('two living processes cannot have the same peer id', async (t) => {
  const server = await startNatsServer(t);
  const first = await openNats(t, server.url, 'one');
  assert.equal(await refusal(t, server.url, { peerId: 'one' }), 'A process named one is already in the cluster test.');
  await first.close();
  await works(await openNats(t, server.url, 'one'));
});

test('credentials that are withdrawn end the connection for good, and the process is told', async (t) => {
  const server = await startNatsServer(t, password);
  const transport = await openNats(t, server.url, 'a', { auth: { user: 'troupe', password: 's3cret' } });
  const failed = new Promise<Error>((resolve) => transport.onFailed(resolve));
  server.configure('authorization { user: troupe, password: changed }');
  await server.restart();
  assert.equal((await failed).message, `The NATS server at ${server.url} does not accept this process's credentials any more.`);
});
