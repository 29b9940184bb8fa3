import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChoiceText, type ChoiceTextOptions } from '../../src/text/choice-text.ts';
import { QWEN3 } from '../../src/text/reasoning/think-tags.ts';
import { MINI_DIR, readJson, tokenizerOf } from '../support/text-fixtures.ts';

const MINI = tokenizerOf('troupe-mini');
const END = MINI.idOf('<|im_end|>')!;
const DEFAULTS = {
  tokenizer: MINI,
  skipSpecialTokens: true,
  stop: [],
  includeStopStrInOutput: false,
  reasoning: null,
  stopTokenIds: new Set([END]),
};

function choiceText(options: Partial<ChoiceTextOptions> = {}): ChoiceText {
  return new ChoiceText({ ...DEFAULTS, ...options });
}

/** Pushes ids one at a time until a stop string ends the choice. */
function run(choice: ChoiceText, ids: readonly number[]): { text: string; reasoning: string; numTokens: number } {
  let [text, reasoning, numTokens] = ['', '', 0];
  for (const id of ids) {
    const piece = choice.push([id]);
    text += piece.text;
    reasoning += piece.reasoning;
    numTokens += 1;
    if (piece.stopped !== null) break;
  }
  const rest = choice.finish();
  return { text: text + rest.text, reasoning: reasoning + rest.reasoning, numTokens };
}

test('golden completions: the text, with reasoning split off', () => {
  const { cases } = readJson<{ cases: { rendered: string; completion_token_ids: number[]; text: string; messages?: unknown }[] }>(
    MINI_DIR,
    'golden.json',
  );
  let numThinking = 0;
  for (const golden of cases) {
    assert.equal(run(choiceText(), golden.completion_token_ids).text, golden.text);
    if (!golden.rendered.endsWith('<think>\n')) continue;
    numThinking += 1;
    const choice = choiceText({ reasoning: QWEN3.newParser(golden.rendered) });
    const [reasoning, content] = golden.text.split('\n</think>\n\n');
    const result = run(choice, golden.completion_token_ids);
    assert.deepEqual([result.reasoning, result.text], [reasoning, content]);
    assert.ok(choice.numReasoningTokens > 0 && choice.numReasoningTokens < golden.completion_token_ids.indexOf(MINI.idOf('</think>')!) + 1);
  }
  assert.ok(numThinking >= 3);
});

test('a stop string says which token of the push completed it, and later ids are ignored', () => {
  const ids = MINI.encode('one two three four');
  const choice = choiceText({ stop: ['wo thr'] });
  const piece = choice.push(ids);
  assert.equal(piece.text, 'one t');
  assert.ok(piece.stopped !== null);
  assert.equal(piece.stopped.stop, 'wo thr');
  const upTo = MINI.decode(ids.slice(0, piece.stopped.numTokens));
  assert.ok(upTo.includes('wo thr') && !MINI.decode(ids.slice(0, piece.stopped.numTokens - 1)).includes('wo thr'));
  assert.deepEqual(choice.push(ids), { text: '', reasoning: '', calls: [], offsets: [], stopped: null });
  assert.deepEqual(choice.finish(), { text: '', reasoning: '', calls: [] });
});

test('includeStopStrInOutput keeps the stop string and nothing after it', () => {
  assert.equal(run(choiceText({ stop: ['two'], includeStopStrInOutput: true }), MINI.encode('one two three')).text, 'one two');
});

test('the text of a stop token is dropped, also where special tokens are shown or it is a plain token', () => {
  const ids = MINI.encode('one two');
  assert.equal(run(choiceText({ skipSpecialTokens: false }), [...ids, END]).text, 'one two');
  assert.equal(run(choiceText({ stopTokenIds: new Set([ids.at(-1)!]) }), ids).text, MINI.decode(ids.slice(0, -1)));
});

test('the text of a stop token stays with includeStopStrInOutput, and with ignore_eos', () => {
  const ids = [...MINI.encode('one'), END];
  assert.equal(run(choiceText({ skipSpecialTokens: false, includeStopStrInOutput: true }), ids).text, 'one<|im_end|>');
  assert.equal(run(choiceText({ skipSpecialTokens: false, stopTokenIds: new Set() }), ids).text, 'one<|im_end|>');
});

test('stop strings in the first minTokens tokens do not count', () => {
  const ids = MINI.encode('a b a b a b');
  const bOnly = MINI.encode(' b');
  assert.equal(bOnly.length, 1);
  const second = ids.indexOf(bOnly[0]!, ids.indexOf(bOnly[0]!) + 1);
  const result = run(choiceText({ stop: [' b'], minTokens: second }), ids);
  assert.equal(result.numTokens, second + 1);
  assert.equal(result.text, MINI.decode(ids.slice(0, second)));
});

test('stop strings are matched before reasoning is split, inside it too', () => {
  const result = run(
    choiceText({ stop: ['12'], reasoning: QWEN3.newParser('<think>\n') }),
    MINI.encode('7 + 5 = 12.\n</think>\n\nIt is 12.'),
  );
  assert.deepEqual([result.reasoning, result.text], ['7 + 5 = ', '']);
});

test('text that looked like the start of a stop string comes with finish', () => {
  const choice = choiceText({ stop: ['three!'] });
  assert.equal(choice.push(MINI.encode('two three')).text, 'two ');
  assert.deepEqual(choice.finish(), { text: 'three', reasoning: '', calls: [] });
});
