/** docs/api.md says what the schemas take, and every proof that it names is there. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { chatSchema, completionSchema } from '../../src/http/openai-schema.ts';

const DOC = readFileSync('docs/api.md', 'utf8');

interface Row {
  readonly fields: readonly string[];
  readonly endpoints: string;
  readonly cells: readonly string[];
}

/** The rows of the tables between "## Fields" and the next section. */
function rows(): Row[] {
  const section = DOC.slice(DOC.indexOf('## Fields'), DOC.indexOf('## Replies'));
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => {
      const cells = line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim());
      return { fields: [...cells[0]!.matchAll(/`(\w+)`/g)].map(([, name]) => name!), endpoints: cells[1]!, cells };
    });
}

const documented = (endpoint: 'C' | 'T') =>
  rows()
    .filter(({ endpoints }) => endpoints.includes(endpoint))
    .flatMap(({ fields }) => fields)
    .sort();

test('every field of a chat body has a row, and no row is of a field that is not there', () => {
  assert.deepEqual(documented('C'), Object.keys(chatSchema.shape).sort());
});

test('every field of a text completion body has a row, and no row is of a field that is not there', () => {
  assert.deepEqual(documented('T'), [...Object.keys(completionSchema.shape), 'suffix'].sort());
});

test('the test that a row names exists, under the title that it tells', () => {
  for (const { cells } of rows()) {
    assert.equal(cells.length, 7, cells.join(' | '));
    const [, file, title] = /^`([\w/-]+)` “(.+)”$/.exec(cells[6]!) ?? [];
    assert.ok(file && title, cells.join(' | '));
    const path = `test/${file}.test.ts`;
    assert.ok(existsSync(path), path);
    const source = readFileSync(path, 'utf8').replaceAll("\\'", "'");
    assert.ok(source.includes(title), `${path} has no test "${title}"`);
  }
});
