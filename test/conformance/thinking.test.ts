/** Thinking on the running server: switched on and off, bounded, hidden, counted. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHAT, serverForFile, user } from '../support/json-client.ts';
import { addUp } from '../support/stream-sum.ts';

const client = serverForFile();
const sum = { messages: user('What is 27 + 45?'), temperature: 0, max_tokens: 200 };
const think = { ...sum, enable_thinking: true };
const choiceOf = async (body: object) => (await client.ask(CHAT, body)).choices[0];

describe('thinking', () => {
  it('is switched by enable_thinking, chat_template_kwargs, metadata and reasoning_effort none', async () => {
    const thinks = async (fields: object) => (await choiceOf({ ...sum, ...fields })).message.reasoning_content !== null;
    for (const on of [
      { enable_thinking: true },
      { chat_template_kwargs: { enable_thinking: true } },
      { metadata: { enable_thinking: true } },
    ]) {
      assert.equal(await thinks(on), true, JSON.stringify(on));
    }
    for (const off of [
      { enable_thinking: false },
      { chat_template_kwargs: { enable_thinking: false }, enable_thinking: true },
      { metadata: { enable_thinking: false } },
      { reasoning_effort: 'none' },
    ]) {
      assert.equal(await thinks(off), false, JSON.stringify(off));
    }
  });

  it('comes before the answer, without its markers, and is counted', async () => {
    const reply = await client.ask(CHAT, { ...think, return_token_ids: true });
    const { message } = reply.choices[0];
    assert.match(message.completion_tokens, /<\/think>/);
    assert.doesNotMatch(message.reasoning_content + message.content, /think>/);
    const [thought, answer] = message.completion_tokens.split('</think>');
    assert.deepEqual([message.reasoning_content.trim(), message.content.trim()], [thought.trim(), answer.trim()]);
    const { reasoning_tokens: numTokens } = reply.usage.completion_tokens_details;
    assert.ok(numTokens > 0 && numTokens < reply.usage.completion_tokens);
  });

  it('streams first as reasoning_content, then content: never both in one chunk, never mixed', async () => {
    const deltas = (await client.stream(CHAT, think)).map(({ choices: [{ delta }] }) => delta);
    const kinds = deltas
      .map(({ content, reasoning_content: reasoning }) => (content ? 'answer' : reasoning ? 'thought' : ''))
      .filter(Boolean);
    assert.ok(deltas.every(({ content, reasoning_content: reasoning }) => !(content && reasoning)));
    assert.equal(kinds.lastIndexOf('thought') + 1, kinds.indexOf('answer'));
  });

  it('has its last words also where max_tokens cuts it, and then no answer', async () => {
    const { message, finish_reason: reason } = await choiceOf({ ...think, max_tokens: 5 });
    assert.deepEqual([message.content ?? '', reason], ['', 'length']);
    assert.equal((await client.ask('/tokenize', { prompt: message.reasoning_content, add_special_tokens: false })).count, 5);
    const streamed = addUp(await client.stream(CHAT, { ...think, max_tokens: 5 })).choices[0];
    assert.deepEqual([streamed.reasoning, streamed.text, streamed.finish], [message.reasoning_content, '', 'length']);
  });

  it('is bounded by reasoning_max_tokens and thinking_token_budget, each request by its own', async () => {
    const budgets = [
      { reasoning_max_tokens: 4 },
      { thinking_token_budget: 8 },
      { thinking_token_budget: -1 },
      {},
      { reasoning_max_tokens: 0 },
    ];
    const replies = await Promise.all(budgets.map((fields) => client.ask(CHAT, { ...think, ...fields })));
    const counts = replies.map(({ usage }) => usage.completion_tokens_details.reasoning_tokens as number);
    const free = (await client.ask(CHAT, think)).usage.completion_tokens_details.reasoning_tokens;
    assert.ok(free > 8);
    assert.deepEqual(counts.slice(2, 4), [free, free]);
    assert.deepEqual([counts[0], counts[1], counts[4]], [4, 8, 0]);
    for (const { choices } of replies) assert.ok(choices[0].message.content.length > 0);
  });

  it('ends with stop at a stop text, which is looked for in the thinking too', async () => {
    const free = (await choiceOf(think)).message.reasoning_content as string;
    const stop = free.slice(12, 17);
    const { finish_reason: reason } = await choiceOf({ ...think, stop });
    assert.equal(reason, 'stop');
  });

  it('is not told with include_reasoning false, and counted all the same', async () => {
    const [shown, hidden] = [await client.ask(CHAT, think), await client.ask(CHAT, { ...think, include_reasoning: false })];
    assert.equal(hidden.choices[0].message.reasoning_content, null);
    assert.equal(hidden.choices[0].message.content, shown.choices[0].message.content);
    assert.equal(hidden.usage.completion_tokens, shown.usage.completion_tokens);
  });
});
