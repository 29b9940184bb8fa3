import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TroupeError } from '../../src/core/errors.ts';
import { call, type Reply, type TestApi, testApi } from '../support/api-client.ts';
import { each, type ScriptedDelta } from '../support/fake-generator.ts';
import { parseNamedEvents } from '../support/named-events.ts';

const RESPONSES = '/v1/responses';
const ask = (fields: object = {}) => ({ body: { model: 'm', input: 'Hello!', ...fields } });

/** Thinks, speaks, calls a tool. */
function* everything(): Generator<readonly ScriptedDelta[]> {
  yield [{ reasoning: 'I should ', tokenIds: [1] }];
  yield [{ reasoning: 'look.', tokenIds: [2] }];
  yield [{ text: 'Let me ', tokenIds: [3] }];
  yield [{ text: 'see.', tokenIds: [4] }];
  yield [{ toolCalls: [{ index: 0, id: 'call_a', name: 'weather', arguments: '{"city":' }], tokenIds: [6] }];
  yield [{ toolCalls: [{ index: 0, arguments: '"Oslo"}' }], tokenIds: [7] }];
  yield [{ tokenIds: [2], finishReason: 'tool_calls' }];
}

const OUTPUT = [
  {
    id: 'rs_HEX_0',
    type: 'reasoning',
    status: 'completed',
    summary: [],
    content: [{ type: 'reasoning_text', text: 'I should look.' }],
    encrypted_content: null,
  },
  {
    id: 'msg_HEX_1',
    type: 'message',
    status: 'completed',
    role: 'assistant',
    content: [{ type: 'output_text', text: 'Let me see.', annotations: [], logprobs: [] }],
  },
  { id: 'fc_HEX_2', type: 'function_call', status: 'completed', call_id: 'call_a', name: 'weather', arguments: '{"city":"Oslo"}' },
];

/** The reply with what differs from run to run replaced. */
function constant({ text }: Reply) {
  const json = JSON.parse(text.replaceAll(/[0-9a-f]{32}/g, 'HEX'));
  assert.ok(Math.abs(json.created_at - Date.now() / 1000) < 60 && Math.abs(json.completed_at - Date.now() / 1000) < 60);
  return { ...json, created_at: 0, completed_at: 0 };
}

describe('POST /v1/responses', () => {
  it('answers with items, the usage, and every field that was asked or could have been', async () => {
    const { api } = testApi({ script: everything, promptTokenIds: [1, 2, 3, 4, 5], cachedTokens: 4 });
    const reply = await call(
      api,
      RESPONSES,
      ask({ metadata: { a: 'b' }, temperature: 0.5, max_output_tokens: 50, reasoning: { effort: 'low' } }),
    );
    assert.equal(reply.status, 200);
    assert.match(reply.json.id, /^resp_[0-9a-f]{32}$/);
    assert.equal(reply.headers['x-request-id'], reply.json.id);
    assert.deepEqual(constant(reply), {
      id: 'resp_HEX',
      object: 'response',
      created_at: 0,
      completed_at: 0,
      status: 'completed',
      background: false,
      error: null,
      incomplete_details: null,
      instructions: null,
      max_output_tokens: 50,
      max_tool_calls: null,
      metadata: { a: 'b' },
      model: 'troupe-mini',
      output: OUTPUT,
      parallel_tool_calls: true,
      previous_response_id: null,
      prompt_cache_key: null,
      reasoning: { effort: 'low', summary: null },
      safety_identifier: null,
      service_tier: 'default',
      store: true,
      temperature: 0.5,
      text: { format: { type: 'text' }, verbosity: 'medium' },
      tool_choice: 'auto',
      tools: [],
      top_logprobs: 0,
      top_p: null,
      truncation: 'disabled',
      usage: {
        input_tokens: 5,
        input_tokens_details: { cached_tokens: 4 },
        output_tokens: 7,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 12,
      },
      user: null,
    });
  });

  it('streams the same response as numbered events in order', async () => {
    const { api } = testApi({ script: everything });
    const whole = constant(await call(api, RESPONSES, ask()));
    const { text, headers } = await call(api, RESPONSES, ask({ stream: true }));
    assert.equal(headers['content-type'], 'text/event-stream; charset=utf-8');
    const events = parseNamedEvents(text.replaceAll(/[0-9a-f]{32}/g, 'HEX'));
    assert.deepEqual(
      events.map(({ type, output_index }) => (output_index === undefined ? type : `${output_index} ${type}`).replace('response.', '')),
      [
        'created',
        'in_progress',
        '0 output_item.added',
        '0 content_part.added',
        '0 reasoning_text.delta',
        '0 reasoning_text.delta',
        '0 reasoning_text.done',
        '0 content_part.done',
        '0 output_item.done',
        '1 output_item.added',
        '1 content_part.added',
        '1 output_text.delta',
        '1 output_text.delta',
        '1 output_text.done',
        '1 content_part.done',
        '1 output_item.done',
        '2 output_item.added',
        '2 function_call_arguments.delta',
        '2 function_call_arguments.delta',
        '2 function_call_arguments.done',
        '2 output_item.done',
        'completed',
      ],
    );
    assert.deepEqual(
      events.map(({ sequence_number }) => sequence_number),
      events.map((_, i) => i),
    );
    const of = (type: string) => events.filter((event) => event.type === `response.${type}`);
    assert.deepEqual({ ...of('completed')[0].response, created_at: 0, completed_at: 0 }, whole);
    assert.deepEqual(
      of('output_item.done').map(({ item }) => item),
      OUTPUT,
    );
    assert.equal(
      of('output_text.delta')
        .map(({ delta }) => delta)
        .join(''),
      'Let me see.',
    );
    assert.equal(
      of('function_call_arguments.delta')
        .map(({ delta }) => delta)
        .join(''),
      '{"city":"Oslo"}',
    );
    assert.deepEqual(
      of('output_item.added').map(({ item }) => [item.id, item.status, item.content ?? item.arguments]),
      [
        ['rs_HEX_0', 'in_progress', []],
        ['msg_HEX_1', 'in_progress', []],
        ['fc_HEX_2', 'in_progress', ''],
      ],
    );
    for (const event of events.filter(({ item_id }) => item_id)) assert.equal(event.item_id, OUTPUT[event.output_index]?.id);
    assert.deepEqual(
      [of('created')[0].response.status, of('created')[0].response.usage, of('created')[0].response.output],
      ['in_progress', null, []],
    );
  });

  for (const [finishReason, status, details] of [
    ['stop', 'completed', null],
    ['length', 'incomplete', { reason: 'max_output_tokens' }],
    ['recover_stop', 'incomplete', { reason: 'recover_stop' }],
    ['abort', 'incomplete', { reason: 'abort' }],
  ] as const) {
    it(`calls what ended with ${finishReason} ${status}`, async () => {
      const { api } = testApi({ script: (request) => [each(request, () => ({ text: 'a', tokenIds: [1], finishReason }))] });
      const { json } = await call(api, RESPONSES, ask());
      assert.deepEqual([json.status, json.incomplete_details, json.output[0].status], [status, details, status]);
      const last = parseNamedEvents((await call(api, RESPONSES, ask({ stream: true }))).text).at(-1);
      assert.deepEqual([last.type, last.response.incomplete_details], [`response.${status}`, details]);
    });
  }

  it('has an empty message where the model said nothing', async () => {
    const { api } = testApi({ script: (request) => [each(request, () => ({ tokenIds: [2], finishReason: 'stop' }))] });
    assert.equal((await call(api, RESPONSES, ask())).json.output[0].content[0].text, '');
    const events = parseNamedEvents((await call(api, RESPONSES, ask({ stream: true }))).text);
    assert.deepEqual(events.at(-1).response.output[0].content[0].text, '');
  });

  it('tells log-probabilities where they are asked for', async () => {
    const entry = { tokenId: 1, token: 'a', bytes: [97], logprob: -0.1 };
    const logprobs = [{ ...entry, textOffset: 0, top: [entry] }];
    const { api, generator } = testApi({
      script: (request) => [each(request, () => ({ text: 'a', tokenIds: [1], logprobs, finishReason: 'stop' }))],
    });
    const { json } = await call(api, RESPONSES, ask({ include: ['message.output_text.logprobs'], top_logprobs: 1 }));
    assert.equal(generator.requests[0]?.sampling.logprobs, 1);
    const told = { token: 'a', logprob: -0.1, bytes: [97] };
    assert.deepEqual(json.output[0].content[0].logprobs, [{ ...told, top_logprobs: [told] }]);
  });

  for (const [what, fields, param] of [
    ['no input', { input: undefined }, 'input'],
    ['a wrong input', { input: 1 }, 'input'],
    ['max_output_tokens 0', { max_output_tokens: 0 }, 'max_output_tokens'],
    ['min_tokens above the limit', { max_output_tokens: 5, min_tokens: 6 }, 'min_tokens'],
    ['a background response', { background: true }, 'background'],
    ['a conversation', { conversation: 'conv_1' }, 'conversation'],
    ['a stored prompt', { prompt: { id: 'p' } }, 'prompt'],
    ['a tool of the service', { tools: [{ type: 'web_search' }] }, 'tools[0].type'],
    ['a function without a name', { tools: [{ type: 'function' }] }, 'tools[0].name'],
    ['a wrong function name', { tools: [{ type: 'function', name: 'a b' }] }, 'tools[0].name'],
    ['a choice without tools', { tool_choice: 'required' }, 'tool_choice'],
    ['a schema without name', { text: { format: { type: 'json_schema', schema: {} } } }, 'text.format.name'],
    ['an unknown effort', { reasoning: { effort: 'much' } }, 'reasoning.effort'],
    ['top_p 2', { top_p: 2 }, 'top_p'],
    ['metadata that are no text', { metadata: { a: 1 } }, 'metadata.a'],
    ['an image', { input: [{ role: 'user', content: [{ type: 'input_image' }] }] }, 'input[0].content[0]'],
    ['an item of another kind', { input: [{ type: 'web_search_call' }] }, 'input[0].type'],
    ['an unknown role', { input: [{ role: 'tool', content: '' }] }, 'input[0].role'],
    ['an output without its call', { input: [{ type: 'function_call_output', output: '' }] }, 'input[0].call_id'],
    ['an empty input', { input: [] }, 'input'],
  ] as const) {
    it(`refuses ${what} by its name`, async () => {
      const { status, json } = await call(testApi().api, RESPONSES, ask(fields));
      assert.deepEqual([status, json.error?.param, json.error?.type], [400, param, 'invalid_request_error']);
    });
  }

  it('ends a stream that fails with an error event and a failed response', async () => {
    const script = function* () {
      yield [{ text: 'a', tokenIds: [1] }];
      throw new TroupeError('engine_failed', 'The engine died too often.');
    };
    const events = parseNamedEvents((await call(testApi({ script }).api, RESPONSES, ask({ stream: true }))).text);
    const [error, failed] = events.slice(-2);
    assert.deepEqual([error.type, error.code, error.message, error.param], ['error', 'engine_failed', 'The engine died too often.', null]);
    assert.deepEqual(
      [failed.type, failed.response.status, failed.response.error],
      ['response.failed', 'failed', { code: 'server_error', message: 'The engine died too often.' }],
    );
    assert.equal(failed.response.output[0].content[0].text, 'a');
  });
});

describe('stored responses', () => {
  const promptOf = ({ generator }: TestApi, i: number) => {
    const prompt = generator.requests[i]?.prompt;
    return prompt?.type === 'chat' ? prompt.messages : null;
  };

  it('are gone on with, without their instructions', async () => {
    const parts = testApi();
    const first = await call(parts.api, RESPONSES, ask({ instructions: 'Be brief.' }));
    const second = await call(parts.api, RESPONSES, ask({ input: 'More.', previous_response_id: first.json.id, stream: true }));
    const third = parseNamedEvents(second.text).at(-1).response;
    assert.equal(third.previous_response_id, first.json.id);
    await call(parts.api, RESPONSES, ask({ input: 'Again.', previous_response_id: third.id, instructions: 'Sing.' }));
    assert.deepEqual(promptOf(parts, 0)?.[0], { role: 'system', content: 'Be brief.' });
    assert.deepEqual(promptOf(parts, 2), [
      { role: 'system', content: 'Sing.' },
      { role: 'user', content: 'Hello!' },
      { role: 'assistant', content: 'Hello world' },
      { role: 'user', content: 'More.' },
      { role: 'assistant', content: 'Hello world' },
      { role: 'user', content: 'Again.' },
    ]);
  });

  it('are read, listed and deleted', async () => {
    const { api } = testApi();
    const { json } = await call(
      api,
      RESPONSES,
      ask({
        input: [
          { role: 'user', content: 'A' },
          { role: 'developer', content: 'B' },
        ],
      }),
    );
    assert.deepEqual((await call(api, `${RESPONSES}/${json.id}`)).json, json);
    const items = await call(api, `${RESPONSES}/${json.id}/input_items`);
    const hex = json.id.slice(5);
    assert.deepEqual(items.json, {
      object: 'list',
      data: [
        { id: `msg_${hex}_in1`, role: 'developer', content: [{ type: 'input_text', text: 'B' }], type: 'message' },
        { id: `msg_${hex}_in0`, role: 'user', content: [{ type: 'input_text', text: 'A' }], type: 'message' },
      ],
      first_id: `msg_${hex}_in1`,
      last_id: `msg_${hex}_in0`,
      has_more: false,
    });
    const cancel = await call(api, `${RESPONSES}/${json.id}/cancel`, { method: 'POST' });
    assert.equal(cancel.status, 400);
    const deleted = await call(api, `${RESPONSES}/${json.id}`, { method: 'DELETE' });
    assert.deepEqual(deleted.json, { id: json.id, object: 'response', deleted: true });
    for (const method of ['GET', 'DELETE']) assert.equal((await call(api, `${RESPONSES}/${json.id}`, { method })).status, 404);
  });

  it('are found by their items', async () => {
    const parts = testApi({ script: everything });
    const { json } = await call(parts.api, RESPONSES, ask());
    const reference = (id: string) => ({ type: 'item_reference', id });
    const output = { type: 'function_call_output', call_id: 'call_a', output: [{ type: 'input_text', text: 'Rain' }] };
    const input = [...json.output.map(({ id }: { id: string }) => reference(id)), output];
    assert.equal((await call(parts.api, RESPONSES, ask({ input }))).status, 200);
    assert.deepEqual(promptOf(parts, 1), [
      {
        role: 'assistant',
        content: 'Let me see.',
        reasoning_content: 'I should look.',
        tool_calls: [{ id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } }],
      },
      { role: 'tool', tool_call_id: 'call_a', content: 'Rain' },
    ]);
    const unknown = await call(parts.api, RESPONSES, ask({ input: [reference(`msg_${'0'.repeat(32)}_0`)] }));
    assert.deepEqual([unknown.status, unknown.json.error.param], [404, 'input[0].id']);
  });

  it('are not there when nobody wanted them kept', async () => {
    const { api } = testApi();
    const { json } = await call(api, RESPONSES, ask({ store: false }));
    const reply = await call(api, RESPONSES, ask({ previous_response_id: json.id }));
    assert.equal(reply.status, 404);
    const { code, param, message } = reply.json.error;
    assert.deepEqual([code, param], ['previous_response_not_found', 'previous_response_id']);
    assert.match(message, /^Previous response with id 'resp_[0-9a-f]{32}' not found\./);
  });
});
