import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FieldError } from '../../src/http/error-reply.ts';
import { conversation } from '../../src/http/messages/conversation.ts';

type Turns = Parameters<typeof conversation>[0]['messages'];
const chat = (messages: Turns, system?: string | Record<string, unknown>[]) => conversation({ messages, system });
const refusedAt = (messages: Turns, param: string) =>
  assert.throws(
    () => chat(messages),
    (error) => error instanceof FieldError && error.param === param,
  );

test('results of tools are messages of their own, in the order of the blocks', () => {
  const content = [
    { type: 'tool_result', tool_use_id: 'a', content: 'Rain' },
    { type: 'tool_result', tool_use_id: 'b', content: [{ type: 'text', text: 'Noon' }], is_error: false },
    { type: 'tool_result', tool_use_id: 'c' },
    { type: 'text', text: 'And', cache_control: { type: 'ephemeral' } },
    { type: 'text', text: 'now?' },
  ];
  assert.deepEqual(chat([{ role: 'user', content }]), [
    { at: 'messages[0]', message: { role: 'tool', tool_call_id: 'a', content: 'Rain' } },
    { at: 'messages[0]', message: { role: 'tool', tool_call_id: 'b', content: 'Noon' } },
    { at: 'messages[0]', message: { role: 'tool', tool_call_id: 'c', content: '' } },
    {
      at: 'messages[0]',
      message: {
        role: 'user',
        content: [
          { type: 'text', text: 'And' },
          { type: 'text', text: 'now?' },
        ],
      },
    },
  ]);
});

test('an assistant turn is one message: thinking, text and calls', () => {
  const content = [
    { type: 'thinking', thinking: 'Hm.', signature: 'x' },
    { type: 'redacted_thinking', data: 'x' },
    { type: 'text', text: 'Let me see.' },
    { type: 'tool_use', id: 'a', name: 'weather', input: { city: 'Oslo' } },
  ];
  const call = { id: 'a', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } };
  assert.deepEqual(
    chat([{ role: 'assistant', content }]).map(({ message }) => message),
    [{ role: 'assistant', content: 'Let me see.', reasoning_content: 'Hm.', tool_calls: [call] }],
  );
});

test('the system prompt is the first message, as text or as blocks', () => {
  const hello = { role: 'user', content: 'Hi' } as const;
  assert.deepEqual(chat([hello], 'A')[0], { at: 'system', message: { role: 'system', content: 'A' } });
  assert.deepEqual(chat([hello], [{ type: 'text', text: 'B' }])[0]?.message.content, 'B');
  assert.equal(chat([hello], '').length, 1);
});

test('a block that is wrong is named where it stands', () => {
  const good = { role: 'user', content: 'Hi' } as const;
  refusedAt([good, { role: 'user', content: [{ type: 'document' }] }], 'messages[1].content[0]');
  refusedAt([{ role: 'user', content: [{ text: 'a' }] }], 'messages[0].content[0].type');
  refusedAt([{ role: 'user', content: [{ type: 'text' }] }], 'messages[0].content[0].text');
  refusedAt([{ role: 'user', content: [] }], 'messages[0].content');
  refusedAt([{ role: 'user', content: [{ type: 'tool_result', content: 'a' }] }], 'messages[0].content[0].tool_use_id');
  refusedAt(
    [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content: [{ type: 'image' }] }] }],
    'messages[0].content[0].content[0]',
  );
  refusedAt([{ role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'f', input: [] }] }], 'messages[0].content[0].input');
});
