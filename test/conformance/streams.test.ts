/** What comes in a stream of the running server, and in which order. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHAT, serverForFile, TEXT, user } from '../support/json-client.ts';
import { ASK_STORY } from '../support/mini-prompts.ts';
import { parseSse } from '../support/sse-client.ts';
import { addUp } from '../support/stream-sum.ts';

const client = serverForFile();
const chat = { messages: user(ASK_STORY), temperature: 0.9, seed: 11, max_tokens: 12, ignore_eos: true };
const text = { prompt: 'Once upon a time', temperature: 0.9, seed: 11, max_tokens: 12, ignore_eos: true };
const both = [
  [CHAT, chat],
  [TEXT, text],
] as const;

describe('a chat stream', () => {
  it('begins with one role chunk per choice, and has text, one finish chunk per choice, then [DONE]', async () => {
    for (const n of [1, 2, 3, 6]) {
      const chunks = await client.stream(CHAT, { ...chat, n });
      const roles = chunks.slice(0, n).map(({ choices: [{ index, delta }] }) => [index, delta.role, delta.content]);
      assert.deepEqual(
        roles,
        Array.from({ length: n }, (_, i) => [i, 'assistant', '']),
      );
      assert.ok(chunks.slice(n).every(({ choices: [{ delta }] }) => !('role' in delta)));
      for (let index = 0; index < n; index++) {
        const own = chunks.map(({ choices }) => choices[0]).filter((choice) => choice.index === index);
        const reasons = own.map(({ finish_reason: reason }) => reason).filter((reason) => reason !== null);
        assert.deepEqual(reasons, ['length']);
        assert.deepEqual([own.at(-1).finish_reason, own.at(-1).delta.content], ['length', '']);
      }
    }
  });
});

describe('a text stream', () => {
  it('has the reason with the last text of each choice, and no role', async () => {
    const chunks = await client.stream(TEXT, { ...text, prompt: ['The sea is', 'Once'], n: 2 });
    const last = new Map(chunks.map(({ choices: [choice] }) => [choice.index, choice]));
    assert.deepEqual([...last.keys()].sort(), [0, 1, 2, 3]);
    for (const { finish_reason: reason } of last.values()) assert.equal(reason, 'length');
    assert.equal(chunks.filter(({ choices: [choice] }) => choice.finish_reason !== null).length, 4);
  });

  it('tells the prompt in the first chunk of each choice with echo', async () => {
    const prompts = ['The sea is', 'Once'];
    const chunks = await client.stream(TEXT, { ...text, prompt: prompts, n: 2, echo: true });
    for (let index = 0; index < 4; index++) {
      const first = chunks.find(({ choices: [choice] }) => choice.index === index);
      assert.equal(first.choices[0].text, prompts[index >> 1]);
    }
    const whole = await client.ask(TEXT, { ...text, prompt: prompts, n: 2, echo: true });
    for (const { index, text: told } of whole.choices)
      assert.ok(told.startsWith(prompts[index >> 1]!) && told.length > prompts[index >> 1]!.length);
  });
});

describe('the usage of a stream', () => {
  it('is in no chunk without stream_options', async () => {
    for (const [path, body] of both) assert.ok((await client.stream(path, body)).every((chunk) => !('usage' in chunk)));
  });

  it('is in a last chunk without choices, once for all prompts and choices, and null before', async () => {
    for (const [path, body] of both) {
      for (const options of [{}, { include_usage: true }]) {
        const chunks = await client.stream(path, { ...body, n: 3, stream_options: options });
        const last = chunks.pop();
        assert.deepEqual(last.choices, []);
        assert.deepEqual([last.usage.completion_tokens, last.usage.total_tokens], [36, 36 + last.usage.prompt_tokens]);
        assert.ok(chunks.every(({ choices, usage }) => choices.length === 1 && usage === null));
        assert.deepEqual(last.usage, (await client.ask(path, { ...body, n: 3 })).usage);
      }
    }
  });

  it('is in every chunk with continuous_usage_stats: of its choice, 0 with the role, and exact at the end', async () => {
    for (const [path, body] of both) {
      const chunks = await client.stream(path, { ...body, n: 2, stream_options: { include_usage: false, continuous_usage_stats: true } });
      assert.ok(chunks.every(({ choices }) => choices.length === 1));
      for (const index of [0, 1]) {
        const own = chunks.filter(({ choices }) => choices[0].index === index).map(({ usage }) => usage);
        const counts = own.map(({ completion_tokens: count }) => count as number);
        assert.deepEqual(
          [...new Set(counts)].filter((count) => count > 0),
          Array.from({ length: 12 }, (_, i) => i + 1),
        );
        assert.deepEqual(
          counts,
          [...counts].sort((a, b) => a - b),
        );
        if (path === CHAT) assert.equal(counts[0], 0);
        for (const usage of own) assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
      }
    }
  });

  it('has neither form with include_usage false', async () => {
    for (const [path, body] of both) {
      const chunks = await client.stream(path, { ...body, stream_options: { include_usage: false } });
      assert.ok(chunks.every(({ usage, choices }) => usage === undefined && choices.length === 1));
    }
  });
});

describe('max_streaming_response_tokens', () => {
  it('joins so many tokens in one event, from the field, metadata or suffix; less than one is one', async () => {
    const sizes = async (path: string, body: object) => {
      const chunks = await client.stream(path, { ...body, return_token_ids: true });
      return chunks
        .map(({ choices: [choice] }) => (choice.delta ?? choice).completion_token_ids?.length ?? 0)
        .filter((size: number) => size > 0);
    };
    assert.deepEqual(await sizes(CHAT, { ...chat, max_streaming_response_tokens: 5 }), [5, 5, 2]);
    assert.deepEqual(await sizes(CHAT, { ...chat, metadata: { max_streaming_response_tokens: 5 } }), [5, 5, 2]);
    assert.deepEqual(await sizes(TEXT, { ...text, max_streaming_response_tokens: 5 }), [5, 5, 2]);
    assert.deepEqual(await sizes(TEXT, { ...text, suffix: { max_streaming_response_tokens: 5 } }), [5, 5, 2]);
    assert.deepEqual(await sizes(CHAT, { ...chat, max_streaming_response_tokens: 100 }), [12]);
    for (const value of [0, 1, -3]) assert.equal((await sizes(CHAT, { ...chat, max_streaming_response_tokens: value })).length, 12);
  });
});

describe('a character of several tokens', () => {
  it('comes whole, with all its token ids', async () => {
    const { tokens } = await client.ask('/tokenize', { prompt: '🦊', add_special_tokens: false });
    assert.ok(tokens.length > 1);
    // The bytes of one emoji, forced token by token.
    const grammar = { guided_regex: '🦊{3}', temperature: 0, max_tokens: 40, prompt: 'A fox:' };
    const chunks = await client.stream(TEXT, { ...grammar, return_token_ids: true });
    const texts = chunks.map(({ choices: [choice] }) => choice.text as string);
    assert.equal(texts.join(''), '🦊🦊🦊');
    assert.ok(texts.every((piece) => !piece.includes('\ufffd') && [...piece].every((character) => character === '🦊')));
    const { choices } = addUp(chunks);
    assert.ok(choices[0].ids.length >= 3 * tokens.length);
  });
});

describe('a failure in a stream', () => {
  it('is an event with the error, then [DONE]', async () => {
    const endless = { ...chat, n: 8, max_tokens: 1900, timeout: 1.5 };
    const { status, text: body } = await client.post(CHAT, { ...endless, stream: true });
    assert.equal(status, 200);
    const { data } = parseSse(body);
    assert.equal(data.at(-1), '[DONE]');
    const { error } = JSON.parse(data.at(-2)!);
    assert.deepEqual([error.code, error.type], ['timeout', 'timeout_error']);
  });
});

describe('streams side by side', () => {
  it('each get the text that they get alone', async () => {
    const bodies = Array.from({ length: 12 }, (_, i) => ({ ...(i % 2 ? chat : text), seed: i }));
    const paths = bodies.map((body) => ('messages' in body ? CHAT : TEXT));
    const alone: unknown[] = [];
    for (const [i, body] of bodies.entries()) alone.push(addUp([await client.ask(paths[i]!, body)]).choices[0].text);
    const together = await Promise.all(bodies.map((body, i) => client.stream(paths[i]!, body)));
    assert.deepEqual(
      together.map((chunks) => addUp(chunks).choices[0].text),
      alone,
    );
  });
});
