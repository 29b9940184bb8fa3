/** Embeddings of the real server, by the official client and against transformers. */
import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import OpenAI from 'openai';
import { readSafetensorsHeader } from '../../src/checkpoint/safetensors.ts';
import { float32Tensor, temporaryFolder, writeSafetensors } from '../support/checkpoint-folder.ts';
import { GOLDEN_LENGTHS, oracleDir, readGolden } from '../support/oracles.ts';
import { startServer } from '../support/server.ts';

const clientOf = (url: string): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });

test("the official client's embeddings are transformers' last hidden states, normalised", async (t: TestContext) => {
  const dir = oracleDir('qwen3');
  const server = await startServer(t, ['--model', dir, '--runner', 'pooling', '--max-num-batched-tokens', '64']).ready();
  const client = clientOf(server.url);
  const goldens = GOLDEN_LENGTHS.map((length) => readGolden(dir, length));
  // Its default is base64, which it decodes; plain numbers must be the same.
  const input = goldens.map(({ inputIds }) => Array.from(inputIds));
  const decoded = await client.embeddings.create({ model: 'default', input });
  const plain = await client.embeddings.create({ model: 'default', input, encoding_format: 'float' });
  assert.equal(decoded.data.length, goldens.length);
  assert.equal(
    decoded.usage.prompt_tokens,
    GOLDEN_LENGTHS.reduce((sum, length) => sum + length, 0),
  );
  for (const [i, { inputIds, lastHidden }] of goldens.entries()) {
    const size = lastHidden.length / inputIds.length;
    const last = lastHidden.subarray((inputIds.length - 1) * size);
    const norm = Math.hypot(...last);
    const { embedding, index } = decoded.data[i]!;
    assert.deepEqual([index, embedding.length], [i, size]);
    assert.deepEqual(plain.data[i]!.embedding.map(Math.fround), embedding.map(Math.fround), 'both formats are the same numbers');
    for (const [j, value] of embedding.entries()) {
      assert.ok(Math.abs(value - last[j]! / norm) <= 2e-4, `${inputIds.length} tokens, value ${j}: ${value} against ${last[j]! / norm}`);
    }
  }
  const cut = await client.embeddings.create({ model: 'default', input: input[3]!, dimensions: 8 });
  assert.equal(cut.data[0]!.embedding.length, 8);
  assert.ok(Math.abs(Math.hypot(...cut.data[0]!.embedding) - 1) < 1e-6);
  await assert.rejects(client.chat.completions.create({ model: 'default', messages: [{ role: 'user', content: 'Hi' }] }), {
    status: 400,
    message: /--runner pooling/,
  });
});

test('one server answers text and embeddings, side by side', async (t: TestContext) => {
  const server = await startServer(t).ready();
  const client = clientOf(server.url);
  const [chat, first, second] = await Promise.all([
    client.chat.completions.create({ model: 'default', messages: [{ role: 'user', content: 'Hello!' }], temperature: 0 }),
    client.embeddings.create({ model: 'default', input: ['The fox runs.', 'One and one is two.'] }),
    client.embeddings.create({ model: 'default', input: 'The fox runs.' }),
  ]);
  assert.ok(chat.choices[0]!.message.content!.startsWith('Hello'));
  assert.deepEqual(second.data[0]!.embedding, first.data[0]!.embedding, 'company changes nothing');
  assert.notDeepEqual(first.data[1]!.embedding, first.data[0]!.embedding);
  const many = await client.embeddings.create({ model: 'default', input: Array.from({ length: 300 }, (_, i) => `Number ${i}.`) });
  assert.equal(many.data.length, 300);
  await assert.rejects(client.embeddings.create({ model: 'default', input: 'word '.repeat(5000) }), {
    status: 400,
    code: 'context_length_exceeded',
  });
});

test('tokenize and detokenize agree with what a chat is charged for', async (t: TestContext) => {
  const server = await startServer(t).ready();
  const messages = [{ role: 'user' as const, content: 'Grüße, 世界! 🦊' }];
  const post = async (path: string, body: object) =>
    (await (await fetch(server.url + path, { method: 'POST', body: JSON.stringify(body) })).json()) as Record<string, unknown>;
  const { count, tokens } = await post('/tokenize', { messages });
  const { usage } = await clientOf(server.url).chat.completions.create({ model: 'default', messages, max_tokens: 1 });
  assert.equal(count, usage!.prompt_tokens);
  const { prompt } = await post('/detokenize', { tokens });
  assert.ok(String(prompt).includes('Grüße, 世界! 🦊'));
  const plain = await post('/v1/tokenize', { prompt: 'Grüße', add_special_tokens: false });
  assert.deepEqual(await post('/v1/detokenize', { tokens: plain.tokens }), { prompt: 'Grüße' });
});

/** The oracle checkpoint with a reward head of two labels: the first value of the hidden state, and the sum of all. */
function withRewardHead(t: TestContext, oracle: string, hiddenSize: number): string {
  const dir = temporaryFolder(t);
  for (const name of readdirSync(oracle)) if (/^tokenizer|^generation_config/.test(name)) copyFileSync(join(oracle, name), join(dir, name));
  const config = JSON.parse(readFileSync(join(oracle, 'config.json'), 'utf8')) as Record<string, unknown>;
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, architectures: ['Qwen3ForSequenceClassification'] }));
  copyFileSync(join(oracle, 'model.safetensors'), join(dir, 'decoder.safetensors'));
  const score = float32Tensor([2, hiddenSize], (i) => (i === 0 || i >= hiddenSize ? 1 : 0));
  writeSafetensors(join(dir, 'head.safetensors'), { 'score.weight': score });
  const names = [...readSafetensorsHeader(join(dir, 'decoder.safetensors')).keys()];
  const weightMap = { ...Object.fromEntries(names.map((name) => [name, 'decoder.safetensors'])), 'score.weight': 'head.safetensors' };
  writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));
  return dir;
}

test("a reward model's scores are its head times transformers' last hidden state", async (t: TestContext) => {
  const oracle = oracleDir('qwen3');
  const { inputIds, lastHidden } = readGolden(oracle, 33);
  const size = lastHidden.length / inputIds.length;
  const last = lastHidden.subarray((inputIds.length - 1) * size);
  const server = await startServer(t, ['--model', withRewardHead(t, oracle, size), '--runner', 'pooling']).ready();
  const reply = await fetch(`${server.url}/v1/reward`, { method: 'POST', body: JSON.stringify({ messages: Array.from(inputIds) }) });
  assert.equal(reply.status, 200);
  const { data } = (await reply.json()) as { data: { score: number[] }[] };
  const expected = [last[0]!, last.reduce((sum, value) => sum + value, 0)];
  for (const [i, score] of data[0]!.score.entries()) assert.ok(Math.abs(score - expected[i]!) < 2e-3, `${score} against ${expected[i]}`);
  assert.equal(data[0]!.score.length, 2);
});
