import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHAT, call, HELLO, testApi } from '../support/api-client.ts';
import type { ScriptedDelta } from '../support/fake-generator.ts';
import { parseChunks } from '../support/sse-client.ts';

const tool = (name: string, more: object = {}) => ({ type: 'function', function: { name, parameters: { type: 'object' }, ...more } });
const TOOLS = [tool('weather', { description: 'The weather of a city.' }), tool('clock', { strict: true })];
const named = (name: string) => ({ type: 'function', function: { name } });

/** Two calls: what a parser gives, piece by piece. */
const CALLS: readonly ScriptedDelta[][] = [
  [{ text: 'Let me see.', tokenIds: [1] }],
  [{ toolCalls: [{ index: 0, id: 'chatcmpl-tool-a', name: 'weather', arguments: '' }], tokenIds: [2] }],
  [{ toolCalls: [{ index: 0, arguments: '{"city":' }], tokenIds: [3] }],
  [{ toolCalls: [{ index: 0, arguments: '"Rome"}' }], tokenIds: [4] }],
  [
    {
      toolCalls: [
        { index: 1, id: 'chatcmpl-tool-b', name: 'clock', arguments: '' },
        { index: 1, arguments: '{}' },
      ],
      tokenIds: [5],
      finishReason: 'tool_calls',
    },
  ],
];

/** Fields, and what the generator may call. */
const CHOICES: readonly [string, object, object | undefined][] = [
  ['no tool_choice is auto', {}, { choice: 'auto', parallel: true }],
  ['auto', { tool_choice: 'auto' }, { choice: 'auto', parallel: true }],
  ['required', { tool_choice: 'required', parallel_tool_calls: false }, { choice: 'required', parallel: false }],
  ['a named function', { tool_choice: named('clock') }, { choice: { name: 'clock' }, parallel: true }],
  ['none', { tool_choice: 'none' }, undefined],
];

const REFUSED: readonly [object, string, RegExp][] = [
  [{ tools: {} }, 'tools', /valid list/],
  [{ tools: [{ type: 'function' }] }, 'tools[0].function', /valid dictionary/],
  [{ tools: [{ type: 'web_search' }] }, 'tools[0].type', /Only tools of type "function"/],
  [{ tools: [tool('')] }, 'tools[0].function.name', /1 to 128/],
  [{ tools: [tool('get weather')] }, 'tools[0].function.name', /letters, digits/],
  [{ tools: [tool('a'), tool('b'), tool('a')] }, 'tools[2].function.name', /declared twice/],
  [{ tools: [tool('a', { parameters: 'x' })] }, 'tools[0].function.parameters', /valid dictionary/],
  [{ tools: TOOLS, tool_choice: 'always' }, 'tool_choice', /"none", "auto", "required"/],
  [{ tools: TOOLS, tool_choice: named('unknown') }, 'tool_choice', /unknown, which is not among the tools/],
  [{ tool_choice: 'auto' }, 'tool_choice', /^When using `tool_choice`, `tools` must be set\.$/],
  [{ tool_choice: 'required', tools: [] }, 'tool_choice', /`tools` must be set/],
  [{ tool_choice: named('weather') }, 'tool_choice', /`tools` must be set/],
  [{ tools: TOOLS, parallel_tool_calls: 'no' }, 'parallel_tool_calls', /valid boolean/],
  [{ functions: [{ name: 'f' }] }, 'functions', /use `tools`/],
  [{ function_call: { name: 'f' } }, 'function_call', /use `tools` and `tool_choice`/],
];

describe('tools', () => {
  for (const [title, fields, use] of CHOICES) {
    it(`with ${title}`, async () => {
      const { api, generator } = testApi();
      const { status } = await call(api, CHAT, { body: { messages: HELLO, tools: TOOLS, ...fields } });
      assert.equal(status, 200);
      const functions = [
        { name: 'weather', parameters: { type: 'object' } },
        { name: 'clock', parameters: { type: 'object' }, strict: true },
      ];
      assert.deepEqual(generator.requests[0]?.tools, use && { functions, ...use });
      const { prompt } = generator.requests[0]!;
      assert.deepEqual(prompt.type === 'chat' && prompt.tools, use && TOOLS);
    });
  }

  it('that are allowed are the only ones to be called, and the prompt shows all', async () => {
    const { api, generator } = testApi();
    const choice = { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [named('clock')] } };
    assert.equal((await call(api, CHAT, { body: { messages: HELLO, tools: TOOLS, tool_choice: choice } })).status, 200);
    const [request] = generator.requests;
    assert.deepEqual(request?.tools, {
      functions: [{ name: 'clock', parameters: { type: 'object' }, strict: true }],
      choice: 'required',
      parallel: true,
    });
    assert.deepEqual(request?.prompt.type === 'chat' && request.prompt.tools, TOOLS);
  });

  it('need no parameters', async () => {
    const { api, generator } = testApi();
    await call(api, CHAT, { body: { messages: HELLO, tools: [{ type: 'function', function: { name: 'now', parameters: null } }] } });
    assert.deepEqual(generator.requests[0]?.tools?.functions, [{ name: 'now' }]);
  });

  it('may be an empty list, or none with the choice none', async () => {
    const { api, generator } = testApi();
    for (const fields of [{ tools: [] }, { tool_choice: 'none' }, { tools: null, tool_choice: null }]) {
      assert.equal((await call(api, CHAT, { body: { messages: HELLO, ...fields } })).status, 200);
    }
    assert.deepEqual(
      generator.requests.map(({ tools, prompt }) => [tools, prompt.type === 'chat' && prompt.tools]),
      Array(3).fill([undefined, undefined]),
    );
  });

  for (const [fields, param, message] of REFUSED) {
    it(`${JSON.stringify(fields).slice(0, 70)} is a 400 for ${param}`, async () => {
      const { api, generator } = testApi();
      const { status, json } = await call(api, CHAT, { body: { messages: HELLO, ...fields } });
      assert.deepEqual([status, json.error.param], [400, param]);
      assert.match(json.error.message, message);
      assert.equal(generator.runs.length, 0);
    });
  }
});

describe('tool calls', () => {
  it('stand in the message, complete and in order', async () => {
    const { api } = testApi({ script: () => CALLS });
    const { json } = await call(api, CHAT, { body: { messages: HELLO, tools: TOOLS } });
    const [{ message, finish_reason: reason }] = json.choices;
    assert.equal(reason, 'tool_calls');
    assert.equal(message.content, 'Let me see.');
    assert.deepEqual(message.tool_calls, [
      { id: 'chatcmpl-tool-a', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } },
      { id: 'chatcmpl-tool-b', type: 'function', function: { name: 'clock', arguments: '{}' } },
    ]);
  });

  it('leave the content null when there is no text', async () => {
    const { api } = testApi({ script: () => CALLS.slice(1) });
    const { json } = await call(api, CHAT, { body: { messages: HELLO, tools: TOOLS } });
    assert.equal(json.choices[0].message.content, null);
  });

  it('are no member of a message without any', async () => {
    const { api } = testApi();
    const { json } = await call(api, CHAT, { body: { messages: HELLO, tools: TOOLS } });
    assert.equal('tool_calls' in json.choices[0].message, false);
    assert.equal(json.choices[0].message.content, 'Hello world');
  });

  it('stream with index in every piece, and id, type and name once', async () => {
    const { api } = testApi({ script: () => CALLS });
    const chunks = parseChunks((await call(api, CHAT, { body: { messages: HELLO, tools: TOOLS, stream: true } })).text);
    const deltas = chunks.map(({ choices }) => choices[0].delta);
    assert.deepEqual(
      deltas.flatMap((delta) => delta.tool_calls ?? []),
      [
        { index: 0, id: 'chatcmpl-tool-a', type: 'function', function: { name: 'weather', arguments: '' } },
        { index: 0, function: { arguments: '{"city":' } },
        { index: 0, function: { arguments: '"Rome"}' } },
        { index: 1, id: 'chatcmpl-tool-b', type: 'function', function: { name: 'clock', arguments: '' } },
        { index: 1, function: { arguments: '{}' } },
      ],
    );
    assert.ok(deltas.every(({ content }) => typeof content === 'string'));
    const { delta, finish_reason: reason } = chunks.at(-1).choices[0];
    assert.deepEqual([reason, delta.content, delta.tool_calls], ['tool_calls', '', undefined]);
  });

  it('of a stream in long steps are the same', async () => {
    const { api } = testApi({ script: () => CALLS });
    const body = { messages: HELLO, tools: TOOLS, stream: true, max_streaming_response_tokens: 100 };
    const chunks = parseChunks((await call(api, CHAT, { body })).text);
    const pieces = chunks.flatMap(({ choices }) => choices[0].delta.tool_calls ?? []);
    const texts = ['', ''];
    for (const { index, function: piece } of pieces) texts[index] += piece.arguments;
    assert.deepEqual(texts, ['{"city":"Rome"}', '{}']);
    assert.equal(chunks.length, 3); // role, everything, end
  });
});
