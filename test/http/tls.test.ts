import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { StartupError } from '../../src/core/errors.ts';
import { checkTlsFiles, watchTlsFiles } from '../../src/http/tls-files.ts';
import { serveHttp } from '../../src/http/uws-server.ts';
import { CHAT, HELLO, testApi } from '../support/api-client.ts';
import { makeCertificate } from '../support/certificates.ts';
import { handFed } from '../support/fake-generator.ts';
import { startHttpServer } from '../support/http-server.ts';
import { keepAlive, openSecure, secureCall } from '../support/https-client.ts';
import { parseChunks } from '../support/sse-client.ts';

describe('HTTPS', () => {
  it('serves replies and streams to a client that trusts the certificate', async (t) => {
    const tls = makeCertificate(t);
    const { url } = await startHttpServer(t, {}, { tls });
    const { ca } = tls;
    const whole = await secureCall(url + CHAT, { ca }, { messages: HELLO });
    assert.equal(whole.status, 200);
    assert.match(whole.text, /Hello world/);
    const stream = await secureCall(url + CHAT, { ca }, { messages: HELLO, stream: true });
    assert.equal(parseChunks(stream.text).length, 4);
    assert.equal((await secureCall(`${url.replace('127.0.0.1', 'localhost')}/health`, { ca })).status, 200);
  });

  it('is refused by a client that does not trust it, and answers no plain HTTP', async (t) => {
    const { url } = await startHttpServer(t, {}, { tls: makeCertificate(t) });
    await assert.rejects(secureCall(url, {}), /self-signed certificate/);
    await assert.rejects(fetch(url.replace('https', 'http')));
  });

  it('of a port in use is a one-line start-up error', async (t) => {
    const tls = makeCertificate(t);
    const { server } = await startHttpServer(t, {}, { tls });
    const again = serveHttp(testApi().api, { host: '127.0.0.1', port: server.port, exclusive: true, tls });
    await assert.rejects(again, (error) => error instanceof StartupError && /in use/.test(error.message));
  });

  it('closes and is free again', async (t) => {
    const { server, url } = await startHttpServer(t, {}, { tls: makeCertificate(t) });
    await server.close();
    await assert.rejects(secureCall(url, {}), /ECONNREFUSED/);
  });
});

describe('a renewed certificate', () => {
  it('is served to new connections, while open ones and their streams go on', async (t) => {
    const [old, next] = [makeCertificate(t, 'old'), makeCertificate(t, 'next')];
    const feed = handFed();
    const { url, server } = await startHttpServer(t, { script: feed.script }, { tls: old });
    const ca = [old.ca, next.ca];
    const agent = keepAlive();
    t.after(() => agent.destroy());
    const kept = { ca, agent };
    assert.equal((await secureCall(`${url}/health`, kept)).commonName, 'old');
    feed.queue.push({ text: 'before', tokenIds: [1] });
    const stream = await openSecure(url + CHAT, { ca }, { messages: HELLO, stream: true });

    copyFileSync(next.certFile, old.certFile);
    copyFileSync(next.keyFile, old.keyFile);
    await server.renewCertificate();

    assert.equal((await secureCall(`${url}/health`, { ca })).commonName, 'next');
    assert.equal((await secureCall(`${url}/health`, kept)).commonName, 'old');
    feed.queue.push({ text: ' after', tokenIds: [2], finishReason: 'stop' });
    feed.queue.end();
    assert.match(await stream.text(), /before[\s\S]*after[\s\S]*\[DONE\]/);
    for (let i = 0; i < 3; i++) await server.renewCertificate();
    assert.equal((await secureCall(`${url}/health`, { ca })).commonName, 'next');
  });

  it('that cannot be used changes nothing', async (t) => {
    const [old, other] = [makeCertificate(t, 'old'), makeCertificate(t, 'other')];
    const { url, server } = await startHttpServer(t, {}, { tls: old });
    copyFileSync(other.keyFile, old.keyFile);
    await assert.rejects(server.renewCertificate(), /does not belong/);
    assert.equal((await secureCall(`${url}/health`, { ca: old.ca })).commonName, 'old');
  });

  it('is noticed when both of its files are there, and half of it is told as a problem', async (t) => {
    const [old, next] = [makeCertificate(t), makeCertificate(t)];
    const told: string[] = [];
    let wake = () => {};
    const note = (what: string) => {
      told.push(what);
      wake();
    };
    const stop = watchTlsFiles(old, {
      intervalMs: 1,
      onRenewed: () => note('renewed'),
      onProblem: note,
    });
    t.after(stop);
    const news = () => new Promise<void>((resolve) => (wake = resolve));
    let noted = news();
    copyFileSync(next.certFile, old.certFile);
    await noted;
    assert.match(told[0] ?? '', /does not belong/);
    noted = news();
    copyFileSync(next.keyFile, old.keyFile);
    await noted;
    assert.equal(told.at(-1), 'renewed');
  });
});

describe('certificate files that cannot be used', () => {
  it('are refused in one line that names them', (t) => {
    const { certFile, keyFile } = makeCertificate(t);
    const other = makeCertificate(t);
    const encrypted = `${keyFile}.enc`;
    writeFileSync(encrypted, '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n');
    const broken = `${certFile}.broken`;
    writeFileSync(broken, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    for (const [files, message] of [
      [{ certFile: '/nope.pem', keyFile }, /--ssl-certfile \/nope\.pem cannot be read \(ENOENT\)/],
      [{ certFile, keyFile: '/nope.pem' }, /--ssl-keyfile \/nope\.pem cannot be read \(ENOENT\)/],
      [{ certFile: keyFile, keyFile }, /holds no certificate/],
      [{ certFile, keyFile: certFile }, /holds no private key/],
      [{ certFile, keyFile: other.keyFile }, /does not belong to the certificate/],
      [{ certFile, keyFile: encrypted }, /passphrase/],
      [{ certFile: broken, keyFile }, /cannot be used/],
    ] as const) {
      assert.throws(
        () => checkTlsFiles(files),
        (error) => error instanceof StartupError && message.test(error.message) && !error.message.includes('\n'),
      );
    }
  });

  it('one file may hold both', (t) => {
    const { certFile, keyFile } = makeCertificate(t);
    const both = `${certFile}.both`;
    writeFileSync(both, readFileSync(keyFile, 'utf8') + readFileSync(certFile, 'utf8'));
    checkTlsFiles({ certFile: both, keyFile: both });
  });
});
