/** The official @anthropic-ai/sdk against the running server with the embedded model, with its default settings. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { serverForFile } from '../support/json-client.ts';
import {
  ASK_JSON,
  ASK_STORY,
  ASK_WEATHER,
  JSON_ANSWER,
  PERSON_SCHEMA,
  WEATHER,
  WEATHER_ANSWER,
  WEATHER_REPORT,
} from '../support/mini-prompts.ts';

const { server } = serverForFile();
let client: Anthropic;
before(async () => {
  await server.ready();
  client = new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
});

type Params = Anthropic.MessageCreateParamsNonStreaming;
const user = (content: string): Anthropic.MessageParam => ({ role: 'user', content });
/** The package's types have no `temperature` any more; the API has. */
const greedy = { model: 'troupe-mini', temperature: 0, max_tokens: 100 } as Pick<Params, 'model' | 'max_tokens'>;
const story: Params = { ...greedy, max_tokens: 40, messages: [user(ASK_STORY)] };
const { name, description, parameters } = WEATHER;
const weather = { name, description, input_schema: parameters as unknown as Anthropic.Tool.InputSchema };

function textOf({ content }: Anthropic.Message): string {
  return content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}

test('a message is created, with its usage and its reason', async () => {
  const message = await client.messages.create(story);
  assert.match(textOf(message), /fox/i);
  assert.deepEqual([message.type, message.role, message.stop_reason], ['message', 'assistant', 'max_tokens']);
  assert.equal(message.usage.output_tokens, 40);
  assert.ok(message.usage.input_tokens + message.usage.cache_read_input_tokens! > 0);
  assert.equal(message._request_id, message.id);
});

test('a streamed message is the created one, in pieces', async () => {
  const message = await client.messages.create(story);
  const pieces: string[] = [];
  for await (const event of await client.messages.create({ ...story, stream: true })) {
    if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') pieces.push(event.delta.text);
  }
  assert.equal(pieces.join(''), textOf(message));
  assert.ok(pieces.length > 3);
});

test('the stream helper tells its events and assembles the message', async () => {
  const stream = client.messages.stream(story);
  const events: string[] = [];
  let text = '';
  stream.on('connect', () => events.push('connect'));
  stream.on('text', (piece, snapshot) => {
    text += piece;
    assert.equal(snapshot, text);
  });
  stream.on('contentBlock', ({ type }) => events.push(type));
  stream.on('message', ({ role }) => events.push(role));
  const final = await stream.finalMessage();
  assert.deepEqual(events, ['connect', 'text', 'assistant']);
  assert.equal(textOf(final), text);
  assert.equal(await stream.finalText(), text);
  assert.deepEqual([final.stop_reason, final.usage.output_tokens], ['max_tokens', 40]);
});

test('a tool is called, answered, and its result told', async () => {
  const ask: Params = { ...greedy, tools: [weather], messages: [user(ASK_WEATHER)] };
  const first = await client.messages.create(ask);
  const call = first.content.find((block) => block.type === 'tool_use');
  assert.ok(call);
  assert.deepEqual([first.stop_reason, call.name, call.input], ['tool_use', 'get_weather', { city: 'Lima' }]);
  const result = { type: 'tool_result' as const, tool_use_id: call.id, content: JSON.stringify(WEATHER_REPORT) };
  const messages = [...ask.messages, { role: 'assistant' as const, content: first.content }, { role: 'user' as const, content: [result] }];
  const second = await client.messages.create({ ...ask, messages });
  assert.deepEqual([textOf(second), second.stop_reason], [WEATHER_ANSWER, 'end_turn']);
});

test('a streamed tool call assembles to the same input', async () => {
  const stream = client.messages.stream({ ...greedy, tools: [weather], messages: [user(ASK_WEATHER)] });
  let json = '';
  stream.on('inputJson', (piece) => {
    json += piece;
  });
  const final = await stream.finalMessage();
  const call = final.content.find((block) => block.type === 'tool_use');
  assert.deepEqual([call?.input, JSON.parse(json), final.stop_reason], [{ city: 'Lima' }, { city: 'Lima' }, 'tool_use']);
});

test('tool_choice any and a named tool always call, and none never does', async () => {
  const ask: Params = { ...greedy, tools: [weather], messages: [user('Tell me a joke.')] };
  for (const tool_choice of [{ type: 'any' }, { type: 'tool', name: 'get_weather' }] as const) {
    const { content, stop_reason } = await client.messages.create({ ...ask, tool_choice });
    const call = content.find((block) => block.type === 'tool_use');
    const { city } = (call?.input ?? {}) as { readonly city?: unknown };
    assert.deepEqual([call?.name, typeof city, stop_reason], ['get_weather', 'string', 'tool_use']);
  }
  const none = await client.messages.create({ ...ask, messages: [user(ASK_WEATHER)], tool_choice: { type: 'none' } });
  assert.ok(none.content.every(({ type }) => type === 'text'));
});

test('thinking comes in a block of its own, whole and streamed, and may be sent back', async () => {
  const ask: Params = { ...greedy, max_tokens: 200, thinking: { type: 'adaptive' }, messages: [user('Hello!')] };
  const whole = await client.messages.create(ask);
  assert.deepEqual(
    whole.content.map(({ type }) => type),
    ['thinking', 'text'],
  );
  const stream = client.messages.stream(ask);
  let thinking = '';
  stream.on('thinking', (piece) => {
    thinking += piece;
  });
  const final = await stream.finalMessage();
  assert.deepEqual(final.content, whole.content);
  assert.equal(final.content[0]?.type === 'thinking' && final.content[0].thinking, thinking);
  assert.ok(final.usage.output_tokens_details!.thinking_tokens > 0);
  const messages = [...ask.messages, { role: 'assistant' as const, content: final.content }, user('Thanks!')];
  assert.ok(textOf(await client.messages.create({ ...ask, messages })).length > 0);
});

test('a thinking budget bounds the thinking', async () => {
  const ask: Params = { ...greedy, max_tokens: 100, messages: [user('Hello!')] };
  const { usage, content } = await client.messages.create({ ...ask, thinking: { type: 'enabled', budget_tokens: 4 } });
  assert.deepEqual(
    content.map(({ type }) => type),
    ['thinking', 'text'],
  );
  assert.ok(usage.output_tokens_details!.thinking_tokens <= 5, 'the line break that closes it counts');
  const off = await client.messages.create({ ...ask, thinking: { type: 'disabled' } });
  assert.ok(off.content.every(({ type }) => type === 'text'));
});

test('a stop sequence ends the message and is named', async () => {
  const whole = textOf(await client.messages.create(story));
  const word = whole.split(' ')[5]!;
  const message = await client.messages.create({ ...story, stop_sequences: ['@@@', word] });
  assert.deepEqual([message.stop_reason, message.stop_sequence], ['stop_sequence', word]);
  assert.equal(textOf(message), whole.slice(0, whole.indexOf(word)));
});

test('the answer goes on from a last message of the assistant', async () => {
  const whole = textOf(await client.messages.create(story));
  const begin = whole.slice(0, whole.indexOf(' ', 10));
  const messages = [...story.messages, { role: 'assistant' as const, content: begin }];
  const rest = textOf(await client.messages.create({ ...story, messages }));
  assert.ok(whole.slice(begin.length).startsWith(rest.slice(0, 20)));
});

test('an output format is followed', async () => {
  const format = { type: 'json_schema' as const, schema: PERSON_SCHEMA };
  const message = await client.messages.create({ ...greedy, messages: [user(ASK_JSON)], output_config: { format } });
  assert.deepEqual(JSON.parse(textOf(message)), JSON_ANSWER);
});

test('tokens are counted as the message would use them', async () => {
  const system = 'You are brief.';
  const { input_tokens } = await client.messages.countTokens({
    model: 'troupe-mini',
    system,
    tools: [weather],
    messages: [user(ASK_WEATHER)],
  });
  const { usage } = await client.messages.create({ ...greedy, max_tokens: 1, system, tools: [weather], messages: [user(ASK_WEATHER)] });
  assert.equal(input_tokens, usage.input_tokens + usage.cache_read_input_tokens!);
});

test('an aborted stream ends, and its request stops running', async () => {
  const stream = client.messages.stream({ ...greedy, max_tokens: 1500, messages: [user(ASK_STORY)] });
  stream.on('text', () => stream.abort());
  await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError);
  while ((await server.metric('vllm:num_requests_running')) > 0) await server.tick('waiting for the request to end');
});

test('each refusal is its own error class, with its type and request id', async () => {
  const refused = async (params: object): Promise<InstanceType<typeof Anthropic.APIError>> => {
    const error: unknown = await client.messages.create({ ...story, ...params }).then(
      () => null,
      (reason) => reason,
    );
    assert.ok(error instanceof Anthropic.APIError);
    return error;
  };
  const bad = await refused({ max_tokens: 0 });
  assert.ok(bad instanceof Anthropic.BadRequestError);
  assert.deepEqual([bad.type, bad.status], ['invalid_request_error', 400]);
  assert.match(bad.message, /max_tokens: Input should be greater than or equal to 1/);
  assert.ok(bad.requestID);
  const image = { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } };
  assert.match((await refused({ messages: [{ role: 'user', content: [image] }] })).message, /messages\.0\.content\.0/);
  assert.match((await refused({ messages: [user('word '.repeat(3000))] })).message, /context length|too long|maximum/i);
  await assert.rejects(
    client.messages.batches.list(),
    (error) => error instanceof Anthropic.NotFoundError && error.type === 'not_found_error',
  );
});
