import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHAT, COMPLETIONS, call, HELLO, testApi } from '../support/api-client.ts';

const SCHEMA = { type: 'object', properties: { a: { type: 'integer' } } };
const LEGACY_TAG = { type: 'structural_tag', structures: [{ begin: '<f>', schema: SCHEMA, end: '</f>' }], triggers: ['<f'] };
const TAG = { type: 'structural_tag', format: { type: 'any_text' } };

/** Fields of the request, and the constraint that the generator gets. */
const CONSTRAINTS: readonly [object, object | undefined][] = [
  [{ response_format: { type: 'text' } }, undefined],
  [{ response_format: { type: 'json_object' } }, { type: 'json_object', param: 'response_format' }],
  [
    { response_format: { type: 'json_schema', json_schema: { name: 'a', schema: SCHEMA, strict: true } } },
    { type: 'json_schema', schema: SCHEMA, param: 'response_format.json_schema.schema' },
  ],
  [{ response_format: { type: 'json_object', schema: SCHEMA } }, { type: 'json_schema', schema: SCHEMA, param: 'response_format.schema' }],
  [{ response_format: LEGACY_TAG }, { type: 'structural_tag', tag: LEGACY_TAG, param: 'response_format' }],
  [{ response_format: TAG }, { type: 'structural_tag', tag: TAG, param: 'response_format' }],
  [{ guided_json: SCHEMA }, { type: 'json_schema', schema: SCHEMA, param: 'guided_json' }],
  [{ guided_json: JSON.stringify(SCHEMA) }, { type: 'json_schema', schema: SCHEMA, param: 'guided_json' }],
  [{ guided_json: true }, { type: 'json_schema', schema: true, param: 'guided_json' }],
  [{ guided_regex: 'a+' }, { type: 'regex', pattern: 'a+', param: 'guided_regex' }],
  [{ guided_choice: ['yes', 'no'] }, { type: 'choice', choices: ['yes', 'no'], param: 'guided_choice' }],
  [{ guided_grammar: 'root ::= "a"' }, { type: 'grammar', ebnf: 'root ::= "a"', param: 'guided_grammar' }],
  [{ structural_tag: JSON.stringify(TAG) }, { type: 'structural_tag', tag: TAG, param: 'structural_tag' }],
  [{ structured_outputs: { json: SCHEMA } }, { type: 'json_schema', schema: SCHEMA, param: 'structured_outputs.json' }],
  [{ structured_outputs: { regex: 'a', json: null } }, { type: 'regex', pattern: 'a', param: 'structured_outputs.regex' }],
  [{ structured_outputs: { json_object: true } }, { type: 'json_object', param: 'structured_outputs.json_object' }],
  [{ structured_outputs: {} }, undefined],
];

/** Fields, `param`, and what the message says. */
const REFUSED: readonly [object, string, RegExp][] = [
  [{ guided_json: '{' }, 'guided_json', /valid JSON/],
  [{ guided_json: '[1]' }, 'guided_json', /JSON schema/],
  [{ guided_json: 5 }, 'guided_json', /JSON schema/],
  [{ guided_regex: '' }, 'guided_regex', /at least 1 character/],
  [{ guided_regex: 5 }, 'guided_regex', /valid string/],
  [{ guided_choice: [] }, 'guided_choice', /at least 1 item/],
  [{ guided_choice: ['a', ''] }, 'guided_choice[1]', /at least 1 character/],
  [{ guided_choice: 'a' }, 'guided_choice', /valid list/],
  [{ guided_grammar: '' }, 'guided_grammar', /at least 1 character/],
  [{ structural_tag: '{}x' }, 'structural_tag', /valid JSON/],
  [{ response_format: 'json' }, 'response_format', /valid dictionary|text, json_object/],
  [{ response_format: { type: 'xml' } }, 'response_format.type', /text, json_object, json_schema or structural_tag/],
  [{ response_format: {} }, 'response_format.type', /text, json_object, json_schema or structural_tag/],
  [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema', /valid dictionary/],
  [{ response_format: { type: 'json_schema', json_schema: { name: 'a' } } }, 'response_format.json_schema.schema', /valid dictionary/],
  [{ structured_outputs: { regex: '' } }, 'structured_outputs.regex', /at least 1 character/],
  [
    { guided_regex: 'a', guided_choice: ['b'] },
    'guided_choice',
    /^You can only use one kind of guided decoding \('guided_regex', 'guided_choice'\)\.$/,
  ],
  [{ guided_json: {}, response_format: { type: 'json_object' } }, 'guided_json', /only use one kind of guided decoding/],
  [{ structured_outputs: { regex: 'a', choice: ['b'] } }, 'structured_outputs.choice', /only use one kind of guided decoding/],
];

const ENDPOINTS = [
  [CHAT, { messages: HELLO }],
  [COMPLETIONS, { prompt: 'x' }],
] as const;

describe('a constraint on the output', () => {
  for (const [path, base] of ENDPOINTS) {
    for (const [fields, constraint] of CONSTRAINTS) {
      it(`${path} ${JSON.stringify(fields).slice(0, 60)} becomes ${constraint ? JSON.stringify(constraint).slice(0, 30) : 'none'}`, async () => {
        const { api, generator } = testApi();
        const { status, json } = await call(api, path, { body: { ...base, ...fields } });
        assert.equal(status, 200, JSON.stringify(json));
        assert.deepEqual(generator.requests[0]?.constraint, constraint);
      });
    }
    for (const [fields, param, message] of REFUSED) {
      it(`${path} ${JSON.stringify(fields).slice(0, 60)} is a 400 for ${param}`, async () => {
        const { api, generator } = testApi();
        const { status, json } = await call(api, path, { body: { ...base, ...fields } });
        assert.deepEqual([status, json.error.param], [400, param]);
        assert.match(json.error.message, message);
        assert.equal(generator.runs.length, 0);
      });
    }
  }

  it('is a 400 where the operator switched it off', async () => {
    const { api } = testApi({ guidedDecoding: false });
    const { status, json } = await call(api, CHAT, { body: { messages: HELLO, guided_regex: 'a' } });
    assert.deepEqual([status, json.error.param, json.error.code], [400, 'guided_regex', 'unsupported_parameter']);
    assert.match(json.error.message, /--guided-decoding-backend off/);
    assert.equal((await call(api, CHAT, { body: { messages: HELLO, response_format: { type: 'text' } } })).status, 200);
    const tools = [{ type: 'function', function: { name: 'f' } }];
    const required = await call(api, CHAT, { body: { messages: HELLO, tools, tool_choice: 'required' } });
    assert.deepEqual([required.status, required.json.error.param], [400, 'tool_choice']);
    assert.equal((await call(api, CHAT, { body: { messages: HELLO, tools } })).status, 200);
  });
});
