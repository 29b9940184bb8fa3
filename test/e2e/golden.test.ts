/** troupe-mini through the API against transformers' greedy results: models/troupe-mini/golden.json. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Server } from '../support/server.ts';

interface GoldenCase {
  readonly messages?: readonly unknown[];
  readonly prompt?: string;
  readonly tools?: readonly unknown[];
  readonly kwargs?: Record<string, unknown>;
  readonly rendered: string;
  readonly prompt_token_ids: readonly number[];
  readonly completion_token_ids: readonly number[];
  readonly finish_reason: string;
  readonly text: string;
}

const golden = JSON.parse(readFileSync('models/troupe-mini/golden.json', 'utf8')) as { max_tokens: number; cases: GoldenCase[] };
const server = new Server([]);
before(async () => {
  await server.ready();
});
after(async () => {
  server.kill();
  await server.exited;
});

interface Reply {
  readonly choices: readonly {
    readonly text: string;
    readonly completion_token_ids: readonly number[];
    readonly finish_reason: string;
    readonly message: {
      readonly content: string;
      readonly reasoning_content: string;
      readonly prompt_token_ids: readonly number[];
      readonly completion_token_ids: readonly number[];
    };
  }[];
  readonly usage: { readonly completion_tokens: number };
}

async function post(path: string, body: object): Promise<Reply> {
  const reply = await fetch(server.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const json = await reply.json();
  assert.equal(reply.status, 200, JSON.stringify(json));
  return json as Reply;
}

const common = { temperature: 0, max_tokens: golden.max_tokens, return_token_ids: true };

for (const [index, one] of golden.cases.entries()) {
  const title = `case ${index}: ${one.rendered.slice(0, 70).replaceAll('\n', ' ')}`;
  if (one.messages && !one.tools) {
    test(`chat from messages gives transformers' prompt and completion ids, ${title}`, async () => {
      const { choices, usage } = await post('/v1/chat/completions', {
        ...common,
        messages: one.messages,
        chat_template_kwargs: one.kwargs ?? null,
      });
      const choice = choices[0]!;
      assert.deepEqual(choice.message.prompt_token_ids, one.prompt_token_ids);
      assert.deepEqual(choice.message.completion_token_ids, one.completion_token_ids);
      assert.equal(choice.finish_reason, one.finish_reason);
      assert.equal(usage.completion_tokens, one.completion_token_ids.length);
      if (one.kwargs?.enable_thinking !== true) assert.equal(choice.message.content, one.text);
      else {
        const [reasoning = '', content = ''] = one.text.split('</think>');
        assert.equal(choice.message.reasoning_content, reasoning.trim());
        assert.equal(choice.message.content, content.trim());
      }
    });
  }
  if (one.tools) {
    test(`chat from prompt token ids gives transformers' completion ids, ${title}`, async () => {
      const { choices } = await post('/v1/chat/completions', { ...common, prompt_token_ids: one.prompt_token_ids, messages: [] });
      const { message, finish_reason } = choices[0]!;
      assert.deepEqual(message.prompt_token_ids, one.prompt_token_ids);
      assert.deepEqual(message.completion_token_ids, one.completion_token_ids);
      assert.equal(finish_reason, one.finish_reason);
    });
  }
  test(`completions from prompt token ids give transformers' completion ids, ${title}`, async () => {
    const { choices } = await post('/v1/completions', { ...common, prompt: one.prompt_token_ids, skip_special_tokens: true });
    assert.deepEqual(choices[0]!.completion_token_ids, one.completion_token_ids);
    assert.equal(choices[0]!.text, one.text);
    assert.equal(choices[0]!.finish_reason, one.finish_reason);
  });
}
