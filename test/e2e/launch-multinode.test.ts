/** scripts/launch-multinode.sh: over ssh to nodes with a network of their own, and as processes of this machine. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../support/checkpoint-folder.ts';
import { freePort, startNatsServer } from '../support/nats-server.ts';
import { Network } from '../support/network.ts';
import { makeKey, sshCommand, startSshd } from '../support/ssh-node.ts';
import { streamChat } from '../support/stream-chat.ts';

const BODY = { messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 8, temperature: 0, ignore_eos: true };

function launch(t: TestContext, args: readonly string[]): ChildProcess & { readonly lines: string[] } {
  const child = spawn('scripts/launch-multinode.sh', args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream!.on('data', (text) => lines.push(String(text)));
  t.after(() => child.kill('SIGKILL'));
  return Object.assign(child, { lines });
}

/** Until so many engines serve at `url`. */
async function untilEngines(url: string, count: number, child: ChildProcess & { readonly lines: string[] }): Promise<void> {
  for (;;) {
    const text = await fetch(`${url}/metrics`).then(
      (reply) => reply.text(),
      () => '',
    );
    if ((text.match(/^troupe:kv_cache_blocks\{.*\} [1-9]/gm) ?? []).length === count) return; // none before it serves
    if (child.exitCode !== null) throw new Error(`it ended: ${child.lines.join('')}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function stopInOrder(child: ChildProcess & { readonly lines: string[] }): Promise<void> {
  const exited = once(child, 'exit');
  process.kill(-child.pid!, 'SIGINT'); // Ctrl-C reaches the whole group of the terminal
  const [code] = await exited;
  assert.equal(code, 0, child.lines.join(''));
  const ends = child.lines.join('').match(/^\[(engine|frontend)@[^\]]*\] .*"exitCode":0.*"msg":"stopped"/gm) ?? [];
  assert.deepEqual(
    ends.map((line) => line.slice(1, line.indexOf('@'))),
    ['frontend', 'engine', 'engine'],
    'frontend first, and each in order',
  );
}

test('two nodes over ssh, each with its own network: one service, stopped in order by Ctrl-C', async (t) => {
  const network = new Network(t);
  const nats = await startNatsServer(t, { host: network.address });
  const key = makeKey(temporaryFolder(t));
  const nodes = [network.addNode(t), network.addNode(t)];
  for (const node of nodes) await startSshd(t, node, key);
  const names = nodes.map(({ address }) => `root@${address}`).join();
  const child = launch(t, ['--nodes', names, '--nats', nats.url, '--ssh', sshCommand(key), '--port', '8188', '--', '--max-num-seqs', '4']);
  const url = `http://${nodes[0]!.address}:8188`;
  await untilEngines(url, 2, child);
  assert.equal((await streamChat(url, BODY)).tokenIds.length, 8);
  await stopInOrder(child);
});

test('--local: the nodes are processes of this machine', async (t) => {
  const nats = await startNatsServer(t);
  const port = await freePort();
  const child = launch(t, ['--local', '--nodes', 'a,b', '--nats', nats.url, '--port', String(port)]);
  const url = `http://127.0.0.1:${port}`;
  await untilEngines(url, 2, child);
  assert.equal((await streamChat(url, BODY)).tokenIds.length, 8);
  await stopInOrder(child);
});
