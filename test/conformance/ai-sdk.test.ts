/** The Vercel AI SDK against the running server with the embedded model, with the provider's default settings. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateObject, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
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
let model: ReturnType<ReturnType<typeof createOpenAICompatible>['chatModel']>;
before(async () => {
  await server.ready();
  model = createOpenAICompatible({ name: 'troupe', baseURL: `${server.url}/v1` }).chatModel('troupe-mini');
});

const greedy = { temperature: 0, maxRetries: 0 };
const story = { ...greedy, prompt: ASK_STORY, maxOutputTokens: 60 };

const weather = (called: unknown[]) =>
  tool({
    description: WEATHER.description,
    inputSchema: jsonSchema<{ city: string }>(WEATHER.parameters as never),
    execute: async (input) => {
      called.push(input);
      return WEATHER_REPORT;
    },
  });

test('text is generated, with its usage and its reason', async () => {
  const { text, usage, finishReason } = await generateText({ model, ...story });
  assert.match(text, /fox/i);
  assert.ok(usage.inputTokens! > 0 && usage.outputTokens! > 0);
  assert.ok(finishReason === 'stop' || finishReason === 'length');
});

test('streamed text is the generated text, in pieces', async () => {
  const { text } = await generateText({ model, ...story });
  const stream = streamText({ model, ...story });
  const pieces: string[] = [];
  for await (const piece of stream.textStream) pieces.push(piece);
  assert.equal(pieces.join(''), text);
  assert.ok(pieces.length > 3);
});

test('a tool is called, answered, and its result told, over two steps', async () => {
  const called: unknown[] = [];
  const result = await generateText({
    model,
    ...greedy,
    prompt: ASK_WEATHER,
    tools: { get_weather: weather(called) },
    stopWhen: stepCountIs(3),
  });
  assert.deepEqual(called, [{ city: 'Lima' }]);
  assert.equal(result.steps[0]!.finishReason, 'tool-calls');
  assert.equal(result.text, WEATHER_ANSWER);
});

test('a streamed tool call arrives as input deltas that join to its arguments', async () => {
  const called: unknown[] = [];
  const stream = streamText({ model, ...greedy, prompt: ASK_WEATHER, tools: { get_weather: weather(called) }, stopWhen: stepCountIs(3) });
  let input = '';
  let text = '';
  for await (const part of stream.fullStream) {
    if (part.type === 'tool-input-delta') input += part.delta;
    if (part.type === 'text-delta') text += part.text;
    assert.notEqual(part.type, 'error');
  }
  assert.deepEqual(JSON.parse(input), { city: 'Lima' });
  assert.deepEqual(called, [{ city: 'Lima' }]);
  assert.equal(text, WEATHER_ANSWER);
});

test('toolChoice required and a named tool always call', async () => {
  for (const toolChoice of ['required', { type: 'tool', toolName: 'get_weather' }] as const) {
    const { toolCalls } = await generateText({
      model,
      ...greedy,
      prompt: 'Tell me a joke.',
      maxOutputTokens: 100,
      tools: { get_weather: tool({ inputSchema: jsonSchema<{ city: string }>(WEATHER.parameters as never) }) },
      toolChoice,
    });
    assert.equal(toolCalls[0]?.toolName, 'get_weather');
    assert.equal(typeof (toolCalls[0]!.input as { city: unknown }).city, 'string');
  }
});

test('a structured object follows its schema', async () => {
  const provider = createOpenAICompatible({ name: 'troupe', baseURL: `${server.url}/v1`, supportsStructuredOutputs: true });
  const { object } = await generateObject({
    model: provider.chatModel('troupe-mini'),
    ...greedy,
    prompt: ASK_JSON,
    schema: jsonSchema(PERSON_SCHEMA as never),
  });
  assert.deepEqual(object, JSON_ANSWER);
});

test('without a schema the object is any JSON object', async () => {
  const { object } = await generateObject({ model, ...greedy, prompt: ASK_JSON, output: 'no-schema' });
  assert.deepEqual(object, JSON_ANSWER);
});

test('an aborted stream ends at once, and its request stops running', async () => {
  const controller = new AbortController();
  const stream = streamText({
    model,
    ...greedy,
    prompt: ASK_STORY,
    maxOutputTokens: 1500,
    abortSignal: controller.signal,
    providerOptions: { troupe: { ignore_eos: true } },
  });
  for await (const part of stream.fullStream) if (part.type === 'text-delta') controller.abort();
  while ((await server.metric('troupe:num_requests_running')) !== 0) await server.tick('waiting for the aborted request to stop');
});

test('a wrong field is an APICallError with status 400', async () => {
  await assert.rejects(generateText({ model, ...story, topP: 2 }), (error) => APICallError.isInstance(error) && error.statusCode === 400);
});
