import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatTemplate } from '../../../src/text/chat-template.ts';
import { renderCalls, withArgumentObjects } from '../../../src/text/tools/history.ts';

const message = (args: unknown, content: unknown = null) => ({
  role: 'assistant',
  content,
  tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: args } }],
});

test('arguments that are the text of an object become the object, and absent content an empty text', () => {
  assert.deepEqual(withArgumentObjects(message('{"a": [1]}')), message({ a: [1] }, ''));
  assert.deepEqual(withArgumentObjects(message(' ')), message({}, ''));
});

test('other arguments stay as they are', () => {
  for (const args of ['{"a": ', '[1]', '"x"', 'null', { a: 1 }, 7])
    assert.deepEqual(withArgumentObjects(message(args, 'x')), message(args, 'x'));
});

test('messages without calls, and calls of no known shape, are untouched', () => {
  const plain = { role: 'user', content: null };
  assert.equal(withArgumentObjects(plain), plain);
  const odd = { role: 'assistant', content: '', tool_calls: ['x', null, {}, { function: 1 }] };
  assert.deepEqual(withArgumentObjects(odd), odd);
});

test('a template gets objects, and one that joins arguments to text gets text', () => {
  const call = '{% for m in messages %}{% for c in m.tool_calls %}';
  const end = '{% endfor %}{% endfor %}';
  const rendered = (print: string, messages = [message('{"a":1}')]) => {
    const template = new ChatTemplate(`${call}${print}${end}`);
    const input = { addGenerationPrompt: false, continueFinalMessage: false, templateKwargs: {}, bosToken: null, eosToken: null };
    return renderCalls(messages, (readable) => template.render({ ...input, messages: readable }));
  };
  assert.equal(rendered('{{ c.function.arguments | tojson }}'), '{"a": 1}');
  assert.equal(rendered("{{ c.function.name + ':' + c.function.arguments + m.content }}"), 'f:{"a":1}');
  assert.throws(() => rendered("{{ raise_exception('no') }}"), { code: 'invalid_request', param: 'messages' });
});
