/** Jinja's corners, each rendered once by transformers (jinja2): right, or an error, never another text. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TemplateError } from '../../../src/text/jinja/errors.ts';
import { Template } from '../../../src/text/jinja/template.ts';
import { textFixture } from '../../support/text-fixtures.ts';

interface Corners {
  readonly messages: readonly unknown[];
  readonly bos_token: string;
  readonly cases: readonly { readonly template: string; readonly rendered?: string; readonly error?: string }[];
}

const CORNERS = textFixture<Corners>('jinja-cases.json');

/** Valid Jinja that is refused: no chat template is known to need it. */
const UNSUPPORTED =
  /\.encode\(|\.swapcase\(|\{:>5\}|__class__|\bm\.name\b|'a' is sameas|is filter|true: 4|dict\.fromkeys|block a|1000000000000|\*\* 100|random|truncate|groupby|urlencode/;

function render(template: string): string | TemplateError {
  try {
    const { messages, bos_token } = CORNERS;
    return new Template(template).render({ messages, bos_token, tools: null, documents: null, add_generation_prompt: false });
  } catch (error) {
    if (error instanceof TemplateError) return error;
    throw error;
  }
}

test('what jinja2 renders is rendered alike, but for a short list that is refused', () => {
  const cases = CORNERS.cases.filter(({ rendered }) => rendered !== undefined);
  assert.ok(cases.length > 130);
  for (const { template, rendered } of cases) {
    const result = render(template);
    if (UNSUPPORTED.test(template)) assert.ok(result instanceof TemplateError, template);
    else assert.equal(result, rendered, template);
  }
});

test('what jinja2 refuses is refused', () => {
  const cases = CORNERS.cases.filter(({ error }) => error !== undefined);
  assert.ok(cases.length > 40);
  for (const { template, error } of cases) assert.ok(render(template) instanceof TemplateError, `${template} — ${error}`);
});

test('an error names the line of the template', () => {
  const result = render('a\n{# b\n #}\n{{ 1 + }}');
  assert.ok(result instanceof TemplateError && result.message.startsWith('line 4:'));
});

test('a template reaches nothing but its data', () => {
  for (const template of [
    '{{ messages.constructor }}',
    '{{ messages.__proto__ }}',
    '{{ (messages|first).constructor }}',
    '{{ toString }}',
    "{{ 'a'.constructor }}",
  ]) {
    const result = render(template);
    assert.ok(result === '' || result instanceof TemplateError, template);
  }
});
