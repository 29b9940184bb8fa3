import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { TroupeError } from '../../src/core/errors.ts';
import { call, testApi } from '../support/api-client.ts';
import { each, type ScriptedDelta } from '../support/fake-generator.ts';
import { parseNamedEvents } from '../support/named-events.ts';

const MESSAGES = '/v1/messages';
const ask = (fields: object = {}) => ({
  body: { model: 'm', max_tokens: 50, messages: [{ role: 'user', content: 'Hello!' }], ...fields },
});

/** Thinks, speaks, calls two tools. */
function* everything(): Generator<readonly ScriptedDelta[]> {
  yield [{ reasoning: 'I should ', tokenIds: [1] }];
  yield [{ reasoning: 'look.', tokenIds: [2] }];
  yield [{ text: 'Let me ', tokenIds: [3] }];
  yield [{ text: 'see.', tokenIds: [4] }];
  yield [{ toolCalls: [{ index: 0, id: 'call_a', name: 'weather', arguments: '' }], tokenIds: [5] }];
  yield [{ toolCalls: [{ index: 0, arguments: '{"city":' }], tokenIds: [6] }];
  yield [{ toolCalls: [{ index: 0, arguments: '"Oslo"}' }], tokenIds: [7] }];
  yield [{ toolCalls: [{ index: 1, id: 'call_b', name: 'time', arguments: '{}' }], tokenIds: [8] }];
  yield [{ tokenIds: [2], finishReason: 'tool_calls' }];
}

const CONTENT = [
  { type: 'thinking', thinking: 'I should look.', signature: createHash('sha256').update('I should look.').digest('base64') },
  { type: 'text', text: 'Let me see.', citations: null },
  { type: 'tool_use', id: 'call_a', name: 'weather', input: { city: 'Oslo' }, caller: { type: 'direct' } },
  { type: 'tool_use', id: 'call_b', name: 'time', input: {}, caller: { type: 'direct' } },
];

describe('POST /v1/messages', () => {
  it('answers with a message of blocks, and counts the cached prompt apart', async () => {
    const { api } = testApi({ script: everything, promptTokenIds: [1, 2, 3, 4, 5], cachedTokens: 4 });
    const { status, json, headers } = await call(api, MESSAGES, ask());
    assert.equal(status, 200);
    assert.match(json.id, /^msg_[0-9a-f]{32}$/);
    assert.equal(headers['request-id'], json.id);
    assert.deepEqual(
      { ...json, id: 'msg_' },
      {
        id: 'msg_',
        type: 'message',
        role: 'assistant',
        model: 'troupe-mini',
        content: CONTENT,
        stop_reason: 'tool_use',
        stop_sequence: null,
        stop_details: null,
        container: null,
        diagnostics: null,
        usage: {
          input_tokens: 1,
          cache_creation_input_tokens: 0,
          cache_read_input_tokens: 4,
          output_tokens: 9,
          output_tokens_details: { thinking_tokens: 0 },
          server_tool_use: null,
          cache_creation: null,
          inference_geo: null,
          service_tier: 'standard',
          speed: null,
        },
      },
    );
  });

  it('streams the same message as events in order', async () => {
    const { api } = testApi({ script: everything });
    const whole = (await call(api, MESSAGES, ask())).json;
    const { text, headers } = await call(api, MESSAGES, ask({ stream: true }));
    assert.equal(headers['content-type'], 'text/event-stream; charset=utf-8');
    const events = parseNamedEvents(text);
    const shape = events.map(({ type, index, content_block, delta }) =>
      [type, index, content_block?.type ?? delta?.type].filter((x) => x !== undefined),
    );
    const block = (index: number, kind: string, deltas: readonly string[]) => [
      ['content_block_start', index, kind],
      ...deltas.map((delta) => ['content_block_delta', index, delta]),
      ['content_block_stop', index],
    ];
    assert.deepEqual(shape, [
      ['message_start'],
      ['ping'],
      ...block(0, 'thinking', ['thinking_delta', 'thinking_delta', 'signature_delta']),
      ...block(1, 'text', ['text_delta', 'text_delta']),
      ...block(2, 'tool_use', ['input_json_delta', 'input_json_delta']),
      ...block(3, 'tool_use', ['input_json_delta']),
      ['message_delta'],
      ['message_stop'],
    ]);
    const of = (index: number, field: string) =>
      events
        .filter((event) => event.index === index)
        .map(({ delta }) => delta?.[field] ?? '')
        .join('');
    assert.deepEqual([of(0, 'thinking'), of(0, 'signature'), of(1, 'text')], ['I should look.', CONTENT[0]?.signature, 'Let me see.']);
    assert.deepEqual([of(2, 'partial_json'), of(3, 'partial_json')], ['{"city":"Oslo"}', '{}']);
    const start = events[0].message;
    assert.deepEqual([start.content, start.stop_reason, start.usage.input_tokens], [[], null, 3]);
    const { delta, usage } = events.at(-2);
    assert.deepEqual([delta.stop_reason, delta.stop_sequence, usage.output_tokens], ['tool_use', null, 9]);
    assert.equal(usage.input_tokens, whole.usage.input_tokens);
  });

  for (const [finish, reason, sequence] of [
    [{ finishReason: 'stop' }, 'end_turn', null],
    [{ finishReason: 'length' }, 'max_tokens', null],
    [{ finishReason: 'recover_stop' }, 'end_turn', null],
    [{ finishReason: 'abort' }, 'end_turn', null],
    [{ finishReason: 'stop', stopString: 'END' }, 'stop_sequence', 'END'],
  ] as const) {
    it(`tells ${JSON.stringify(finish)} as ${reason}`, async () => {
      const { api } = testApi({ script: (request) => [each(request, () => ({ text: 'a', tokenIds: [1], ...finish }))] });
      const { json } = await call(api, MESSAGES, ask());
      assert.deepEqual([json.stop_reason, json.stop_sequence], [reason, sequence]);
      const { delta } = parseNamedEvents((await call(api, MESSAGES, ask({ stream: true }))).text).at(-2);
      assert.deepEqual([delta.stop_reason, delta.stop_sequence], [reason, sequence]);
    });
  }

  it('has an empty input for a call that max_tokens cut off', async () => {
    const script = () => [[{ toolCalls: [{ index: 0, id: 'a', name: 'f', arguments: '{"city":"O' }], finishReason: 'length' as const }]];
    const { json } = await call(testApi({ script }).api, MESSAGES, ask());
    assert.deepEqual([json.content[0].input, json.stop_reason], [{}, 'max_tokens']);
  });

  it('asks the generator for what the fields say', async () => {
    const { api, generator } = testApi();
    const fields = {
      system: 'Be brief.',
      temperature: 0.5,
      top_p: 0.9,
      top_k: 5,
      stop_sequences: ['END'],
      seed: 7,
      metadata: { user_id: 'u' },
    };
    assert.equal((await call(api, MESSAGES, ask(fields))).status, 200);
    const [request] = generator.requests;
    assert.deepEqual(request?.sampling.maxTokens, 50);
    assert.deepEqual([request?.sampling.temperature, request?.sampling.topP, request?.sampling.topK], [0.5, 0.9, 5]);
    assert.deepEqual([request?.stop, request?.seed], [['END'], 7n]);
    assert.deepEqual(request?.prompt.type === 'chat' && request.prompt.messages, [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hello!' },
    ]);
  });

  it('goes on with a last message of the assistant', async () => {
    const { api, generator } = testApi();
    const messages = [
      { role: 'user', content: 'Count.' },
      { role: 'assistant', content: [{ type: 'text', text: '1, 2,' }] },
    ];
    await call(api, MESSAGES, ask({ messages }));
    const prompt = generator.requests[0]?.prompt;
    assert.deepEqual(prompt?.type === 'chat' && [prompt.continueFinalMessage, prompt.addGenerationPrompt], [true, false]);
  });

  for (const [what, fields, message] of [
    ['no max_tokens', { max_tokens: undefined }, 'max_tokens: Field required'],
    ['max_tokens 0', { max_tokens: 0 }, 'max_tokens: Input should be greater than or equal to 1'],
    ['no messages', { messages: undefined }, 'messages: Field required'],
    ['an unknown role', { messages: [{ role: 'tool', content: '' }] }, "messages.0.role: Input should be 'user', 'assistant' or 'system'"],
    ['a wrong stop sequence', { stop_sequences: [1] }, 'stop_sequences.0: Input should be a valid string'],
    [
      'too many stop sequences',
      { stop_sequences: Array(17).fill('a') },
      'stop_sequences: The number of stop sequences exceeds the limit max_stop_seqs_num(16).',
    ],
    [
      'an image',
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'a' },
              { type: 'image', source: {} },
            ],
          },
        ],
      },
      'messages.0.content.1: Content blocks of type "image" are not supported here by this model.',
    ],
    [
      'a tool of the service',
      { tools: [{ type: 'web_search_20250305', name: 'web_search' }] },
      'tools.0.type: Tools of type "web_search_20250305" are not supported, only custom tools are.',
    ],
    ['a tool without schema', { tools: [{ name: 'f' }] }, 'tools.0.input_schema: Field required'],
    [
      'a named choice without name',
      { tools: [{ name: 'f', input_schema: { type: 'object' } }], tool_choice: { type: 'tool' } },
      'tool_choice.name: Field required',
    ],
    ['any tool of none', { tool_choice: { type: 'any' } }, 'tool_choice: `tool_choice` asks for a tool, and there are no `tools`.'],
    [
      'a budget above max_tokens',
      { thinking: { type: 'enabled', budget_tokens: 50 } },
      'max_tokens: `max_tokens` must be greater than `thinking.budget_tokens`.',
    ],
    ['top_p 2', { top_p: 2 }, 'top_p: Input should be less than or equal to 1'],
    ['a wrong user id', { metadata: { user_id: 1 } }, 'metadata.user_id: Input should be a valid string'],
  ] as const) {
    it(`refuses ${what} in the dialect's words`, async () => {
      const { status, json, headers } = await call(testApi().api, MESSAGES, ask(fields));
      assert.equal(status, 400);
      assert.deepEqual(json, { type: 'error', error: { type: 'invalid_request_error', message }, request_id: headers['request-id'] });
    });
  }

  it('gives every failure its type', async () => {
    for (const [code, status, type] of [
      ['context_length_exceeded', 400, 'invalid_request_error'],
      ['model_not_found', 404, 'not_found_error'],
      ['queue_full', 429, 'rate_limit_error'],
      ['no_engine', 503, 'overloaded_error'],
      ['engine_failed', 500, 'api_error'],
    ] as const) {
      const { api } = testApi({ refuse: () => new TroupeError(code, 'Because.') });
      const reply = await call(api, MESSAGES, ask());
      assert.deepEqual([reply.status, reply.json.error], [status, { type, message: 'Because.' }]);
    }
    const { api } = testApi({ refuse: () => new Error('secret') });
    const reply = await call(api, MESSAGES, ask());
    assert.deepEqual([reply.status, reply.json.error.type], [500, 'api_error']);
    assert.ok(!reply.text.includes('secret'));
  });

  it('speaks its dialect on paths and methods that it does not have', async () => {
    const { api } = testApi();
    const unknown = await call(api, `${MESSAGES}/batches`, ask());
    assert.deepEqual([unknown.status, unknown.json.error.type], [404, 'not_found_error']);
    const wrong = await call(api, MESSAGES);
    assert.deepEqual([wrong.status, wrong.json.type, wrong.headers.allow], [405, 'error', 'POST, OPTIONS']);
  });

  it('ends a stream that fails with an error event', async () => {
    const script = function* () {
      yield [{ text: 'a', tokenIds: [1] }];
      throw new TroupeError('engine_failed', 'The engine died too often.');
    };
    const events = parseNamedEvents((await call(testApi({ script }).api, MESSAGES, ask({ stream: true }))).text);
    assert.deepEqual(events.at(-1)?.error, { type: 'api_error', message: 'The engine died too often.' });
  });

  it('is logged and counted as a generation', async () => {
    const { api, logs } = testApi();
    await call(api, MESSAGES, ask());
    assert.equal(logs.filter(({ route, promptTokens }) => route === MESSAGES && promptTokens === 3).length, 1);
    assert.match((await call(api, '/metrics')).text, /^troupe:requests_received_total(\{.*\})? 1$/m);
  });
});
