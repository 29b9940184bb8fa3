/** FastDeploy's page "OpenAI Protocol-Compatible API Server": its examples, verbatim, against the running server. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { Server } from '../support/server.ts';

const execute = promisify(execFile);
const server = new Server([]);
before(async () => {
  await server.ready();
});
after(async () => {
  server.kill();
  await server.exited;
});

interface Reply {
  readonly model: string;
  readonly choices: readonly {
    readonly text?: string;
    readonly message?: { readonly role: string; readonly content: string };
    readonly logprobs: { readonly content: readonly { readonly token: string; readonly top_logprobs: readonly unknown[] }[] } | null;
  }[];
}

/** An example of the page with this server's host and port. */
function example(file: string): string {
  const { hostname, port } = new URL(server.url);
  return readFileSync(`test/fixtures/fastdeploy-page/${file}`, 'utf8')
    .replace('0.0.0.0:8188', `${hostname}:${port}`)
    .replace('host = "0.0.0.0"', `host = "${hostname}"`)
    .replace('port = "8170"', `port = "${port}"`);
}

/** What a reader sees who pastes the command into a shell. */
async function paste(file: string): Promise<Reply> {
  const { stdout } = await execute('sh', ['-c', example(file)]);
  const reply = JSON.parse(stdout) as Reply;
  assert.ok(reply.choices, stdout);
  return reply;
}

test('curl: a chat', async () => {
  const { choices, model } = await paste('chat.sh');
  assert.equal(model, 'troupe-mini');
  assert.equal(choices[0]!.message!.role, 'assistant');
  assert.ok(choices[0]!.message!.content.length > 0);
  assert.equal(choices[0]!.logprobs, null);
});

test('curl: a chat with log-probabilities, whose body ends in a trailing comma', async () => {
  const { choices } = await paste('chat-logprobs.sh');
  const tokens = choices[0]!.logprobs!.content;
  assert.equal(tokens.map(({ token }) => token).join(''), `${choices[0]!.message!.content}<|im_end|>`); // the end has a token too
  for (const { top_logprobs } of tokens) assert.deepEqual(top_logprobs, []);
});

test('curl: a completion', async () => {
  const { choices } = await paste('completion.sh');
  assert.ok(choices[0]!.text!.length > 0);
});

test("the chat script's loop, with the openai package: no chunk without a choice, nothing printed but text", async () => {
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'null' });
  const response = await client.chat.completions.create({
    model: 'null',
    messages: [
      { role: 'system', content: "I'm a helpful AI assistant." },
      { role: 'user', content: "Rewrite Li Bai's 'Quiet Night Thought' as a modern poem" },
    ],
    stream: true,
  });
  const printed: unknown[] = [];
  for await (const chunk of response) {
    if (chunk.choices[0]!.delta) printed.push(chunk.choices[0]!.delta.content);
  }
  assert.ok(printed.length > 2);
  for (const piece of printed) assert.equal(typeof piece, 'string');
  assert.ok(printed.join('').length > 0);
});

test('the completion script, with the openai package', async () => {
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'null' });
  const response = await client.completions.create({
    model: 'default',
    prompt: '以下是一篇关于深圳文心公园的500字游记和赏析:',
    stream: false,
  });
  assert.ok(response.choices[0]!.text.length > 0);
});

const hasPython = await execute('python3', ['-c', 'import openai']).then(
  () => true,
  () => false,
);
if (hasPython) {
  for (const file of ['chat_stream.py', 'completion.py']) {
    test(`python3 runs ${file} and prints text, never None`, async () => {
      const { stdout } = await execute('python3', ['-c', example(file)]);
      assert.ok(stdout.trim().length > 0);
      assert.doesNotMatch(stdout, /None/);
    });
  }
} else {
  console.log("python3 has no openai package: the page's Python scripts run as their ports to JavaScript only");
}
