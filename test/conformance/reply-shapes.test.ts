/** Every member of every reply on the running server, in both forms: what clients that index JSON find, and what is null. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHAT, serverForFile, TEXT, user } from '../support/json-client.ts';
import { ASK_WEATHER, WEATHER } from '../support/mini-prompts.ts';

const client = serverForFile();
const greeting = { messages: user('Hello!'), temperature: 0, max_tokens: 3 };
const sea = { prompt: 'The sea is', temperature: 0, max_tokens: 3 };

const USAGE = ['prompt_tokens', 'completion_tokens', 'total_tokens', 'prompt_tokens_details', 'completion_tokens_details'];
const MESSAGE = [
  'role',
  'content',
  'refusal',
  'reasoning_content',
  'prompt_token_ids',
  'completion_token_ids',
  'prompt_tokens',
  'completion_tokens',
];
const CHAT_CHOICE = ['index', 'message', 'logprobs', 'prompt_logprobs', 'draft_logprobs', 'finish_reason'];
const TEXT_CHOICE = [
  ...['index', 'text', 'prompt_token_ids', 'completion_token_ids', 'prompt_tokens', 'completion_tokens', 'arrival_time', 'logprobs'],
  ...['prompt_logprobs', 'draft_logprobs', 'reasoning_content', 'tool_calls', 'finish_reason'],
];

/** Members in any order: JSON objects have none. */
const sameKeys = (object: object, keys: readonly string[]) => assert.deepEqual(Object.keys(object).sort(), [...keys].sort());
const uuid = '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}';

describe('a chat completion', () => {
  it('has every member, null where nothing was asked for', async () => {
    const reply = await client.ask(CHAT, greeting);
    sameKeys(reply, ['id', 'object', 'created', 'model', 'choices', 'usage']);
    assert.match(reply.id, new RegExp(`^chatcmpl-${uuid}$`));
    assert.deepEqual([reply.object, reply.model], ['chat.completion', 'troupe-mini']);
    assert.ok(Number.isInteger(reply.created));
    const [choice] = reply.choices;
    sameKeys(choice, CHAT_CHOICE);
    sameKeys(choice.message, MESSAGE);
    sameKeys(reply.usage, USAGE);
    const { role, content, ...unasked } = choice.message;
    assert.equal(role, 'assistant');
    assert.equal(typeof content, 'string');
    assert.deepEqual(new Set(Object.values(unasked)), new Set([null]));
    assert.deepEqual([choice.logprobs, choice.prompt_logprobs, choice.draft_logprobs], [null, null, null]);
    assert.deepEqual(Object.keys(reply.usage.prompt_tokens_details), ['cached_tokens']);
    assert.deepEqual(Object.keys(reply.usage.completion_tokens_details), ['reasoning_tokens']);
  });

  it('has what was asked for', async () => {
    const asked = { ...greeting, return_token_ids: true, logprobs: true, top_logprobs: 2, prompt_logprobs: 1 };
    const { choices, usage } = await client.ask(CHAT, asked);
    const [{ message, logprobs, prompt_logprobs: ofPrompt }] = choices;
    assert.deepEqual(
      [message.prompt_token_ids.length, message.completion_token_ids.length],
      [usage.prompt_tokens, usage.completion_tokens],
    );
    assert.match(message.prompt_tokens, /Hello!/);
    assert.equal(message.completion_tokens, message.content);
    assert.equal(logprobs.content.length, usage.completion_tokens);
    sameKeys(logprobs.content[0], ['token', 'logprob', 'bytes', 'top_logprobs']);
    sameKeys(logprobs.content[0].top_logprobs[0], ['token', 'logprob', 'bytes']);
    assert.equal(logprobs.refusal, null);
    assert.equal(ofPrompt.length, usage.prompt_tokens);
    assert.equal(ofPrompt[0], null);
    for (const [i, entry] of ofPrompt.slice(1).entries())
      sameKeys(entry[message.prompt_token_ids[i + 1]], ['logprob', 'rank', 'decoded_token']);
  });

  it('has null for content and a list of calls where a tool is called', async () => {
    const tools = [{ type: 'function', function: WEATHER }];
    const { choices } = await client.ask(CHAT, { ...greeting, messages: user(ASK_WEATHER), tools, max_tokens: 60 });
    const [{ message, finish_reason: reason }] = choices;
    assert.deepEqual([message.content, reason, message.tool_calls.length], [null, 'tool_calls', 1]);
    const [{ id, ...call }] = message.tool_calls;
    assert.match(id, /^chatcmpl-tool-[0-9a-f]{32}$/);
    assert.deepEqual(call, { type: 'function', function: { name: 'get_weather', arguments: '{"city": "Lima"}' } });
  });
});

describe('a text completion', () => {
  it('has every member, null where nothing was asked for', async () => {
    const reply = await client.ask(TEXT, sea);
    sameKeys(reply, ['id', 'object', 'created', 'model', 'choices', 'usage']);
    assert.match(reply.id, new RegExp(`^cmpl-${uuid}$`));
    assert.equal(reply.object, 'text_completion');
    const [choice] = reply.choices;
    sameKeys(choice, TEXT_CHOICE);
    sameKeys(reply.usage, USAGE);
    const { index, text, arrival_time: arrival, finish_reason: reason, ...unasked } = choice;
    assert.deepEqual([index, typeof text, typeof arrival, reason], [0, 'string', 'number', 'length']);
    assert.deepEqual(new Set(Object.values(unasked)), new Set([null]));
  });

  it('has log-probabilities as lists of one length, with the sampled token always among the alternatives', async () => {
    const { choices } = await client.ask(TEXT, { ...sea, temperature: 2.5, seed: 5, max_tokens: 20, logprobs: 1 });
    const { tokens, token_logprobs: values, top_logprobs: tops, text_offset: offsets } = choices[0].logprobs;
    assert.deepEqual([values.length, tops.length, offsets.length], [tokens.length, tokens.length, tokens.length]);
    const sizes = new Set<number>();
    for (const [i, top] of tops.entries()) {
      assert.equal(top[tokens[i]], values[i]);
      sizes.add(Object.keys(top).length);
    }
    assert.deepEqual([...sizes].sort(), [1, 2]); // one more where the sampled token is not the best
  });
});

describe('a chunk', () => {
  const HEAD = ['id', 'object', 'created', 'model', 'choices'];

  it('of chat has the same head in all of a stream, and a delta with strings', async () => {
    const chunks = await client.stream(CHAT, { ...greeting, n: 2 });
    for (const chunk of chunks) {
      sameKeys(chunk, HEAD);
      assert.deepEqual([chunk.id, chunk.created, chunk.object], [chunks[0].id, chunks[0].created, 'chat.completion.chunk']);
      assert.equal(chunk.choices.length, 1);
      const [{ delta, logprobs }] = chunk.choices;
      assert.deepEqual([typeof delta.content, typeof delta.reasoning_content, logprobs], ['string', 'string', null]);
      assert.equal(delta.prompt_token_ids, null);
      assert.equal(delta.completion_token_ids, null);
    }
  });

  it('of text has text, no role, and the reason null before the end', async () => {
    const chunks = await client.stream(TEXT, sea);
    for (const [i, chunk] of chunks.entries()) {
      sameKeys(chunk, HEAD);
      const [choice] = chunk.choices;
      assert.deepEqual([chunk.object, typeof choice.text, 'delta' in choice], ['text_completion', 'string', false]);
      assert.equal(choice.finish_reason, i === chunks.length - 1 ? 'length' : null);
    }
  });
});

describe('the id', () => {
  it('is the request_id, once with its prefix, and has the user in it', async () => {
    const idOf = async (path: string, body: object) => (await client.ask(path, body)).id as string;
    assert.equal(await idOf(CHAT, { ...greeting, request_id: 'mine' }), 'chatcmpl-mine');
    assert.equal(await idOf(CHAT, { ...greeting, request_id: 'chatcmpl-mine' }), 'chatcmpl-mine');
    assert.equal(await idOf(TEXT, { ...sea, request_id: 'mine' }), 'cmpl-mine');
    assert.match(await idOf(CHAT, { ...greeting, user: 'bob' }), new RegExp(`^chatcmpl-bob-${uuid}$`));
    assert.match(await idOf(TEXT, { ...sea, user: 'bob' }), new RegExp(`^cmpl-bob-${uuid}$`));
  });

  it('of two requests at the same time must differ', async () => {
    const running = { ...greeting, request_id: 'twice', max_tokens: 1000, ignore_eos: true };
    const replies = await Promise.all([client.post(CHAT, running), client.post(CHAT, running)]);
    assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 400]);
    const refused = replies.find(({ status }) => status === 400);
    assert.equal(JSON.parse(refused!.text).error.param, 'request_id');
  });
});

describe('the endpoints beside generation', () => {
  it('list the model with its length and permissions', async () => {
    const { object, data } = JSON.parse((await client.get('/v1/models')).text);
    assert.deepEqual([object, data.length], ['list', 1]);
    sameKeys(data[0], ['id', 'object', 'created', 'owned_by', 'root', 'parent', 'max_model_len', 'permission']);
    assert.deepEqual([data[0].id, data[0].object, data[0].max_model_len], ['troupe-mini', 'model', 2048]);
    assert.equal(data[0].permission[0].object, 'model_permission');
  });

  it('tell health, version and routes', async () => {
    for (const path of ['/health', '/ping', '/live', '/ready']) assert.equal((await client.get(path)).status, 200);
    assert.equal((await client.post('/ping', {})).status, 200);
    assert.match(JSON.parse((await client.get('/version')).text).version, /^\d+\.\d+\.\d+/);
    const { routes } = JSON.parse((await client.get('/load')).text);
    assert.ok(routes.every(({ path }: { path: string }) => path.startsWith('/v1')));
    assert.deepEqual(
      routes.find(({ path }: { path: string }) => path === CHAT),
      { path: CHAT, methods: ['POST'], tags: [] },
    );
  });

  it('tokenize and detokenize round-trip in any script', async () => {
    for (const prompt of ['Hello, world!', '你好，世界', 'Привет', '🦊👩‍👩‍👧', ' two  spaces\n\ttab']) {
      const { tokens, count } = await client.ask('/tokenize', { prompt, add_special_tokens: false });
      assert.equal(tokens.length, count);
      assert.equal((await client.ask('/detokenize', { tokens })).prompt, prompt);
    }
  });
});
