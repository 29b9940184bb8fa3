/** Every form of a constraint on the running server: in chat and text, whole and streamed, and with the other fields. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHAT, serverForFile, TEXT, user } from '../support/json-client.ts';
import { ASK_JSON, ASK_STORY, JSON_ANSWER, PERSON_SCHEMA } from '../support/mini-prompts.ts';
import { addUp } from '../support/stream-sum.ts';

const client = serverForFile();
const bodies = {
  [CHAT]: { messages: user(ASK_JSON), temperature: 0, max_tokens: 200 },
  [TEXT]: { prompt: `<|im_start|>user\n${ASK_JSON}<|im_end|>\n<|im_start|>assistant\n`, temperature: 0, max_tokens: 200 },
};

const isPerson = (text: string) => assert.deepEqual(JSON.parse(text), JSON_ANSWER);
const isObject = (text: string) => assert.equal(Object.getPrototypeOf(JSON.parse(text)), Object.prototype);
const matches = (pattern: RegExp) => (text: string) => assert.match(text, pattern);
const COLOURS = { type: 'object', properties: { colour: { enum: ['red', 'green'] } }, required: ['colour'], additionalProperties: false };

const FORMS: readonly (readonly [fields: object, check: (text: string) => void])[] = [
  [{ response_format: { type: 'json_object' } }, isObject],
  [{ response_format: { type: 'json_schema', json_schema: { name: 'person', strict: true, schema: PERSON_SCHEMA } } }, isPerson],
  [{ guided_json: PERSON_SCHEMA }, isPerson],
  [{ guided_json: JSON.stringify(PERSON_SCHEMA) }, isPerson],
  [{ guided_json: COLOURS }, matches(/^\{\s*"colour"\s*:\s*"(red|green)"\s*\}$/)],
  [{ guided_regex: '[A-Z][a-z]{2,8}, \\d{3}' }, matches(/^[A-Z][a-z]{2,8}, \d{3}$/)],
  [{ guided_choice: ['Oslo', 'Lima', '东京'] }, matches(/^(Oslo|Lima|东京)$/)],
  [
    { guided_grammar: 'root ::= "SELECT " column (", " column)? " FROM t"\ncolumn ::= "name" | "city"' },
    matches(/^SELECT (name|city)(, (name|city))? FROM t$/),
  ],
  [{ structured_outputs: { choice: ['yes', 'no'] } }, matches(/^(yes|no)$/)],
];

for (const path of [CHAT, TEXT] as const) {
  describe(`${path} keeps to`, () => {
    for (const [fields, check] of FORMS) {
      it(JSON.stringify(fields).slice(0, 90), async () => {
        const whole = (await client.ask(path, { ...bodies[path], ...fields })).choices[0];
        const text = whole.message?.content ?? whole.text;
        check(text);
        assert.equal(whole.finish_reason, 'stop');
        const streamed = addUp(await client.stream(path, { ...bodies[path], ...fields })).choices[0];
        assert.deepEqual([streamed.text, streamed.finish], [text, 'stop']);
      });
    }
  });
}

describe('a structural tag', () => {
  const story = { messages: user(ASK_STORY), temperature: 0, max_tokens: 60 };

  it('that opens has what its schema says, in either field', async () => {
    // The model begins its stories with "Once upon a time": here that opens the tag.
    const structures = [{ begin: 'Once upon ', schema: COLOURS, end: '!' }];
    const format = { type: 'structural_tag', structures, triggers: ['Once'] };
    for (const fields of [{ response_format: format }, { structural_tag: JSON.stringify(format) }]) {
      for (const stream of [false, true]) {
        const body = { ...story, ...fields };
        const { text } = addUp(stream ? await client.stream(CHAT, body) : [await client.ask(CHAT, body)]).choices[0];
        assert.match(text, /^Once upon \{\s*"colour"\s*:\s*"(red|green)"\s*\}!/);
      }
    }
  });

  it('of the new form is the whole answer', async () => {
    const tag = { type: 'tag', begin: '<a>', content: { type: 'json_schema', json_schema: COLOURS }, end: '</a>' };
    const { choices } = await client.ask(CHAT, { ...story, structural_tag: { type: 'structural_tag', format: tag } });
    assert.match(choices[0].message.content, /^<a>\{\s*"colour"\s*:\s*"(red|green)"\s*\}<\/a>$/);
  });
});

describe('a constraint', () => {
  it('holds for each of n choices', async () => {
    const { choices } = await client.ask(CHAT, { ...bodies[CHAT], temperature: 1.5, seed: 2, n: 5, guided_regex: '[ab]{4}' });
    for (const { message } of choices) assert.match(message.content, /^[ab]{4}$/);
    assert.ok(new Set(choices.map(({ message }: { message: { content: string } }) => message.content)).size > 1);
  });

  it('begins after the thinking', async () => {
    const body = { messages: user('What is 8 + 6?'), temperature: 0, enable_thinking: true, max_tokens: 200, guided_regex: '\\d{2}!' };
    const { message, finish_reason: reason } = (await client.ask(CHAT, body)).choices[0];
    assert.ok(message.reasoning_content.length > 0);
    assert.match(message.content, /^\d{2}!$/);
    assert.equal(reason, 'stop');
  });

  it('leaves log-probabilities those of the model, of every token', async () => {
    const reply = await client.ask(CHAT, { ...bodies[CHAT], guided_choice: ['Lima'], logprobs: true, top_logprobs: 2 });
    const { content } = reply.choices[0].logprobs;
    assert.equal(content.length, reply.usage.completion_tokens);
    assert.ok(content[0].logprob < content[0].top_logprobs[0].logprob);
  });

  it('ends at a stop string inside it, and at max_tokens with length', async () => {
    const stopped = (await client.ask(CHAT, { ...bodies[CHAT], guided_json: PERSON_SCHEMA, stop: '"city"' })).choices[0];
    assert.doesNotMatch(stopped.message.content, /city/);
    assert.equal(stopped.finish_reason, 'stop');
    const cut = (await client.ask(CHAT, { ...bodies[CHAT], guided_json: PERSON_SCHEMA, max_tokens: 3 })).choices[0];
    assert.equal(cut.finish_reason, 'length');
  });

  it('of type text constrains nothing', async () => {
    const free = (await client.ask(CHAT, bodies[CHAT])).choices[0].message.content;
    assert.equal((await client.ask(CHAT, { ...bodies[CHAT], response_format: { type: 'text' } })).choices[0].message.content, free);
  });
});

describe('a constraint that is wrong is a 400, streaming or not:', () => {
  const wrong: readonly (readonly [fields: object, param: string, message: RegExp])[] = [
    [{ guided_regex: '(' }, 'guided_regex', /"\("/],
    [{ guided_regex: '' }, 'guided_regex', /at least 1 character/],
    [{ guided_grammar: '' }, 'guided_grammar', /at least 1 character/],
    [{ guided_grammar: 'root ::= nope' }, 'guided_grammar', /nope/],
    [{ guided_json: '{bad' }, 'guided_json', /valid JSON/],
    [{ guided_json: { type: 'strin' } }, 'guided_json', /strin/],
    [{ guided_choice: [] }, 'guided_choice', /at least 1 item/],
    [{ guided_choice: 'yes' }, 'guided_choice', /valid list/],
    [{ guided_regex: 'a', guided_choice: ['b'] }, 'guided_choice', /You can only use one kind of guided decoding/],
    [{ guided_json: {}, guided_grammar: 'root ::= "a"' }, 'guided_grammar', /You can only use one kind of guided decoding/],
    [{ response_format: { type: 'xml' } }, 'response_format.type', /text, json_object, json_schema/],
    [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema', /dictionary/],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 5 } } } }, 'response_format', /type/],
    [{ structural_tag: '{"type": "structural_tag"}' }, 'structural_tag', /structures/],
  ];
  for (const [fields, param, message] of wrong) {
    it(JSON.stringify(fields), async () => {
      for (const stream of [false, true]) {
        const error = await client.refusal(CHAT, { ...bodies[CHAT], ...fields, stream });
        assert.ok(error.param?.startsWith(param), `param ${error.param}`);
        assert.match(error.message, message);
      }
      await client.ask(CHAT, { ...bodies[CHAT], max_tokens: 1 });
    });
  }
});
