import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { TroupeError } from '../../../src/core/errors.ts';
import type { ConstraintSpec } from '../../../src/core/generation.ts';
import { constraintFormat } from '../../../src/text/constraint/constraint-format.ts';
import { afterPossibleThinking, afterThinking } from '../../../src/text/tools/after-thinking.ts';
import { TextLab } from '../../support/grammar-lab.ts';

let lab: TextLab;
before(async () => {
  lab = await TextLab.load();
});

type Asked = ConstraintSpec extends infer Spec ? (Spec extends unknown ? Omit<Spec, 'param'> : never) : never;
const formatOf = (asked: Asked) => constraintFormat({ ...asked, param: 'the_field' } as ConstraintSpec);

function refused(asked: Asked, words: string): void {
  assert.throws(
    () => formatOf(asked),
    (error) => error instanceof TroupeError && error.param === 'the_field' && error.message.includes(words),
    words,
  );
}

test('json_object is any object and nothing else', async () => {
  const texts = ['{}', '{"a": [1, {"b": null}]}', '[]', '1', '"a"', '{"a": }'];
  assert.deepEqual(await lab.matching(formatOf({ type: 'json_object' }), texts), texts.slice(0, 2));
});

test('a choice is one of the texts as they stand', async () => {
  const choices = ['yes', 'yes!', 'no "thanks"', '日本', 'a\nb'];
  assert.deepEqual(await lab.matching(formatOf({ type: 'choice', choices }), [...choices, 'ye', 'yes?', 'no']), choices);
  refused({ type: 'choice', choices: [] }, 'at least one choice');
  refused({ type: 'choice', choices: ['a', ''] }, 'Choice 1 must be a string that is not empty');
  refused({ type: 'choice', choices: Array.from({ length: 1001 }, (_, index) => `${index}`) }, '1001 choices, more than 1000');
});

test('a pattern matches from end to end, with or without anchors', async () => {
  for (const pattern of ['[a-c]{2}|é+', '^(?:[a-c]{2}|é+)$']) {
    assert.deepEqual(await lab.matching(formatOf({ type: 'regex', pattern }), ['ab', 'éé', 'abc', 'xab', '']), ['ab', 'éé']);
  }
  refused({ type: 'regex', pattern: '' }, 'must not be empty');
  refused({ type: 'regex', pattern: 'a(?!.*)' }, 'look-ahead');
  refused({ type: 'regex', pattern: '(?!a)a' }, 'No text matches');
});

test('classes beyond ASCII mean characters in a grammar, too', async () => {
  const ebnf = 'root ::= [é-ü] "[é]" [^\\u4e00-\\u9fff\\]] # [é]';
  const texts = ['é[é]x', 'ü[é]é', 'e[é]x', 'é[é]日', 'é[é]]', 'é[é]'];
  assert.deepEqual(await lab.matching(formatOf({ type: 'grammar', ebnf }), texts), texts.slice(0, 2));
  refused({ type: 'grammar', ebnf: ' \n' }, 'not empty');
  refused({ type: 'grammar', ebnf: 'start ::= "a"' }, 'no rule "root"');
});

test('a structural tag constrains what is inside its tags, in the newer and the older form', async () => {
  const schema = { type: 'object', properties: { a: { type: 'integer', minimum: 3 } }, required: ['a'] };
  const newer = {
    format: {
      type: 'triggered_tags',
      triggers: ['<f='],
      tags: [{ begin: '<f=x>', content: { type: 'json_schema', json_schema: schema }, end: '</f>' }],
    },
  };
  const older = { structures: [{ begin: '<f=x>', schema, end: '</f>' }], triggers: ['<f='] };
  const texts = ['free text', 'say <f=x>{"a": 4}</f> and more', '<f=x>{"a": 2}</f>', '<f=y>{"a": 4}</f>', '<f=x>{"a": 4}'];
  for (const tag of [newer, older, JSON.stringify(older)]) {
    assert.deepEqual(await lab.matching(formatOf({ type: 'structural_tag', tag }), texts), texts.slice(0, 2));
  }
});

test('a wrong structural tag is refused with the place of its mistake', () => {
  const refusals: readonly (readonly [unknown, string])[] = [
    [{}, 'has a "format", or "structures" and "triggers"'],
    ['{', 'cannot be read'],
    [{ format: { type: 'unknown' } }, 'format.type must be any_text'],
    [{ format: { type: 'sequence', elements: [] } }, 'format.elements must be a list that is not empty'],
    [{ format: { type: 'sequence', elements: [{ type: 'regex', pattern: '(' }] } }, 'format.elements[0].pattern: The pattern'],
    [{ format: { type: 'tag', begin: 1 } }, 'format.begin must be a string'],
    [{ format: { type: 'tag', begin: '', end: '' } }, 'format.content must be an object'],
    [
      { structures: [{ begin: '<a>', schema: { type: 'array', uniqueItems: true }, end: '</a>' }], triggers: ['<a'] },
      'structures.tags[0].content.json_schema: Schema keyword "uniqueItems"',
    ],
    [{ structures: [{ begin: '<a>', schema: {}, end: '</a>' }], triggers: ['<b'] }, 'must begin with exactly one of the triggers'],
    [{ structures: 3, triggers: [] }, '"structures" must be a list'],
  ];
  for (const [tag, words] of refusals) refused({ type: 'structural_tag', tag }, words);
});

test('reasoning is free, and the constraint begins behind it', async () => {
  const answer = formatOf({ type: 'choice', choices: ['yes', 'no'] });
  const open = ['hm <b> </thin </think>yes', '</think>\n\nno', 'hm</think>\n\n\nno', 'yes', '</think>maybe'];
  assert.deepEqual(await lab.matching(afterThinking(answer), open), open.slice(0, 2));
  const possible = ['yes', '<think>hm</think>\nno', '<think>', 'hm</think>yes', '\nyes'];
  assert.deepEqual(await lab.matching(afterPossibleThinking(answer), possible), possible.slice(0, 2));
});
