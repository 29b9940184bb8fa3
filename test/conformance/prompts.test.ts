/** The forms of a prompt on the running server: the same tokens whichever way they are told, and the same text after them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHAT, JsonClient, serverForFile, TEXT, user } from '../support/json-client.ts';
import { ASK_STORY } from '../support/mini-prompts.ts';
import { startServer } from '../support/server.ts';

const client = serverForFile();
const greedy = { temperature: 0, max_tokens: 12, return_token_ids: true };
const tokenize = async (prompt: string): Promise<number[]> => (await client.ask('/tokenize', { prompt })).tokens;

describe('a chat prompt', () => {
  it('is the same as text, as parts, as token ids in messages, and as prompt_token_ids', async () => {
    const first = (await client.ask(CHAT, { ...greedy, messages: user(ASK_STORY) })).choices[0].message;
    const ids = first.prompt_token_ids;
    const parts = [
      { type: 'text', text: 'Tell me a story' },
      { type: 'text', text: ' about a fox.' },
    ];
    for (const body of [
      { messages: ids },
      { messages: [], prompt_token_ids: ids },
      { messages: user('ignored'), prompt_token_ids: ids },
      { prompt_token_ids: ids },
      { messages: user(first.prompt_tokens), disable_chat_template: true },
    ]) {
      const { message } = (await client.ask(CHAT, { ...greedy, ...body })).choices[0];
      assert.deepEqual([message.prompt_token_ids, message.content], [ids, first.content]);
    }
    const { message } = (await client.ask(CHAT, { ...greedy, messages: user(parts) })).choices[0];
    assert.match(message.prompt_tokens, /Tell me a story\n? about a fox\./);
  });

  it('has the turns of a conversation in their order, the system prompt first', async () => {
    const messages = [
      { role: 'system', content: 'You are a pirate. Answer like a pirate.' },
      { role: 'user', content: 'My name is Ana.' },
      { role: 'assistant', content: 'Nice to meet you, Ana!' },
      { role: 'user', content: 'How are you?' },
    ];
    const { prompt_tokens: prompt } = (await client.ask(CHAT, { ...greedy, messages })).choices[0].message;
    const places = messages.map(({ content }) => prompt.indexOf(content));
    assert.ok(places.every((place, i) => place > (places[i - 1] ?? -1)));
    assert.match(prompt, /<\|im_start\|>assistant\n$/);
  });

  it('changes the answer with its system prompt', async () => {
    const answer = async (messages: object[]) => (await client.ask(CHAT, { ...greedy, messages })).choices[0].message.content;
    const pirate = { role: 'system', content: 'You are a pirate. Answer like a pirate.' };
    assert.match(await answer([pirate, ...user('How are you?')]), /^Arr!/);
    assert.doesNotMatch(await answer(user('How are you?')), /^Arr!/);
  });
});

describe('a text prompt', () => {
  it('is the same as text, as ids, as lists of them, and as prompt_token_ids', async () => {
    const ids = await tokenize('The sea is');
    const expected = (await client.ask(TEXT, { ...greedy, prompt: 'The sea is' })).choices[0];
    assert.deepEqual(expected.prompt_token_ids, ids);
    for (const body of [
      { prompt: ['The sea is'] },
      { prompt: ids },
      { prompt: [ids] },
      { prompt: 'ignored', prompt_token_ids: ids },
      { prompt_token_ids: [ids] },
    ]) {
      const { choices } = await client.ask(TEXT, { ...greedy, ...body });
      assert.deepEqual(
        choices.map((choice: { text: string; prompt_token_ids: number[] }) => [choice.prompt_token_ids, choice.text]),
        [[ids, expected.text]],
      );
    }
  });

  it('among others is answered as it is alone; choices are numbered prompt by prompt, then by n', async () => {
    const prompts = ['The sea is', 'Once upon a time', 'Mia'];
    const body = { ...greedy, temperature: 0.8, seed: 4, n: 2 };
    const { choices, usage } = await client.ask(TEXT, { ...body, prompt: prompts });
    assert.deepEqual(
      choices.map(({ index }: { index: number }) => index),
      [0, 1, 2, 3, 4, 5],
    );
    let numPromptTokens = 0;
    for (const [p, prompt] of prompts.entries()) {
      const ids = await tokenize(prompt);
      numPromptTokens += ids.length;
      for (const i of [0, 1]) assert.deepEqual(choices[p * 2 + i].prompt_token_ids, ids);
    }
    assert.equal(usage.prompt_tokens, numPromptTokens);
    const greedyTogether = await client.ask(TEXT, { ...greedy, prompt: prompts });
    for (const [p, prompt] of prompts.entries()) {
      assert.equal(greedyTogether.choices[p].text, (await client.ask(TEXT, { ...greedy, prompt })).choices[0].text);
    }
  });

  it('with echo stands before each text, decoded where it came as ids', async () => {
    const ids = await tokenize('The sea is');
    for (const prompt of ['The sea is', ids]) {
      const [echoed, plain] = [
        await client.ask(TEXT, { ...greedy, prompt, echo: true, n: 2 }),
        await client.ask(TEXT, { ...greedy, prompt }),
      ];
      for (const choice of echoed.choices) assert.equal(choice.text, `The sea is${plain.choices[0].text}`);
    }
  });
});

describe('a prompt that is prefilled in pieces', () => {
  it('has the same answer and usage as one that is not', async (t) => {
    const pieces = new JsonClient(await startServer(t, ['--max-num-batched-tokens', '32', '--max-num-seqs', '8']).ready());
    const body = { ...greedy, messages: user(`${'word '.repeat(200)}${ASK_STORY}`) };
    const [expected, reply] = [await client.ask(CHAT, body), await pieces.ask(CHAT, body)];
    assert.ok(reply.usage.prompt_tokens > 200);
    assert.deepEqual([reply.choices, reply.usage.total_tokens], [expected.choices, expected.usage.total_tokens]);
    const chunks = await pieces.stream(CHAT, { ...body, cache_salt: 'fresh', stream_options: { continuous_usage_stats: true } });
    assert.ok(chunks.every(({ usage }) => usage.prompt_tokens === reply.usage.prompt_tokens));
    assert.deepEqual(chunks.at(-1).usage.completion_tokens, reply.usage.completion_tokens);
  });
});

describe('max_completion_tokens', () => {
  it('wins over max_tokens, whichever is larger', async () => {
    for (const [max_completion_tokens, max_tokens] of [
      [2, 5],
      [5, 2],
    ] as const) {
      const { usage } = await client.ask(CHAT, { messages: user(ASK_STORY), temperature: 0, max_completion_tokens, max_tokens });
      assert.equal(usage.completion_tokens, max_completion_tokens);
    }
  });
});

describe('greedy', () => {
  it('is temperature 0, top_p 0 and top_k 1 alike, whatever the seed', async () => {
    const content = async (fields: object) =>
      (await client.ask(CHAT, { messages: user(ASK_STORY), max_tokens: 30, ...fields })).choices[0].message.content;
    const expected = await content({ temperature: 0 });
    for (const fields of [
      { temperature: 0, seed: 9 },
      { top_p: 0, seed: 1 },
      { top_p: 0, temperature: 2 },
      { top_k: 1, seed: 2 },
      { min_p: 1, seed: 3 },
    ]) {
      assert.equal(await content(fields), expected, JSON.stringify(fields));
    }
  });
});

describe('cached tokens', () => {
  it('are told for a prompt whose beginning was there before, and change nothing in the text', async () => {
    const body = { messages: user('lamp '.repeat(150)), temperature: 0, max_tokens: 8 };
    const first = await client.ask(CHAT, body);
    const again = await client.ask(CHAT, body);
    assert.equal(first.usage.prompt_tokens_details.cached_tokens, 0);
    assert.ok(again.usage.prompt_tokens_details.cached_tokens > 0);
    assert.ok(again.usage.prompt_tokens_details.cached_tokens < again.usage.prompt_tokens);
    assert.equal(again.choices[0].message.content, first.choices[0].message.content);
    const salted = await client.ask(CHAT, { ...body, cache_salt: 'other' });
    assert.equal(salted.usage.prompt_tokens_details.cached_tokens, 0);
  });
});
