import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ModelTraits } from '../../../src/text/model-parsers.ts';
import { ERNIE_X1 as ERNIE_X1_REASONING } from '../../../src/text/reasoning/ernie-x1.ts';
import { DEEPSEEK_R1, QWEN3 } from '../../../src/text/reasoning/think-tags.ts';
import { toolDialectNamed } from '../../../src/text/tools/registry.ts';
import { type Random, seededRandom } from '../../support/seeded-random.ts';
import { read } from '../../support/tool-calls.ts';

const NAMES = ['hermes', 'ernie-x1', 'ernie-45-vl-thinking', 'llama3-json', 'mistral', 'deepseek', 'json'];
const NO_TRAITS: ModelTraits = { templateSource: '', hasToken: () => false, modelType: '' };

const JSON_PIECES = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ';',
  ':',
  '"',
  '\\',
  '\\"',
  '{"a": 1}',
  '{}',
  '"x"',
  'null',
  '1.5',
  ' ',
  '\n',
  '\n\n',
  'é',
  '🗼',
];
const CALL_PIECES = [
  '{"name": "f", "arguments": ',
  '{"name": "f", "parameters": ',
  '"name": "f"',
  '"arguments": {',
  '{"name":"f"}',
  '{"arguments": {"b": 2}, "name": "f"}',
];
const DEEPSEEK_PIECES = [
  '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>',
  '<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n',
];
const WORDS = [
  'Hi',
  ' there',
  '<',
  '<tool',
  'f',
  'f[ARGS]',
  'function',
  '```json\n',
  '\n```',
  '<response>',
  '</response>',
  '</think>',
  '<think>',
];

const pick = <T>(random: Random, list: readonly T[]): T => list[random.below(list.length)]!;

function randomText(random: Random, known: readonly string[]): string {
  const markers = known.includes('<｜tool▁sep｜>') ? [...known, ...DEEPSEEK_PIECES] : known;
  const kinds = [
    JSON_PIECES,
    CALL_PIECES,
    CALL_PIECES,
    WORDS,
    markers.length > 0 ? markers : WORDS,
    markers.length > 0 ? markers : JSON_PIECES,
  ];
  return Array.from({ length: 1 + random.below(14) }, () => pick(random, pick(random, kinds))).join('');
}

function randomCuts(random: Random, text: string): string[] {
  const parts: string[] = [];
  for (let at = 0; at < text.length; ) {
    const size = 1 + random.below(pick(random, [1, 4, 30]));
    parts.push(text.slice(at, at + size));
    at += size;
  }
  return parts;
}

for (const name of NAMES) {
  test(`${name}: what is read of random text does not depend on how it was cut, and nothing is lost where nothing is called`, () => {
    const dialect = toolDialectNamed(name, NO_TRAITS)!;
    const random = seededRandom(7);
    let numWithCalls = 0;
    for (let i = 0; i < 4000; i++) {
      const text = randomText(random, dialect.markers);
      const whole = read(dialect, [text]);
      assert.deepEqual(read(dialect, randomCuts(random, text)), whole, JSON.stringify(text));
      if (whole.calls.length > 0) numWithCalls++;
      else assert.equal(whole.content, text);
    }
    assert.ok(numWithCalls > 20, `${numWithCalls} texts with calls`);
  });
}

for (const dialect of [QWEN3, DEEPSEEK_R1, ERNIE_X1_REASONING]) {
  test(`reasoning ${dialect.name}: what is read of random text does not depend on how it was cut`, () => {
    const random = seededRandom(11);
    const split = (parts: readonly string[]) => {
      const parser = dialect.newParser('');
      const pieces = [...parts.map((part) => parser.push(part)), parser.flush()];
      return [pieces.map((piece) => piece.reasoning).join(''), pieces.map((piece) => piece.content).join('')];
    };
    for (let i = 0; i < 4000; i++) {
      const text = randomText(random, dialect.markers);
      assert.deepEqual(split(randomCuts(random, text)), split([text]), JSON.stringify(text));
    }
  });
}
