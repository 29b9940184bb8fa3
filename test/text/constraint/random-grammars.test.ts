/** Random schemas and patterns as grammars, walked at random with troupe-mini's tokens; ajv and RegExp judge what comes out. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { constraintFormat } from '../../../src/text/constraint/constraint-format.ts';
import { WalkLab } from '../../support/grammar-lab.ts';
import { randomSchema } from '../../support/json-schemas.ts';
import { jsonValidator } from '../../support/json-validator.ts';
import { randomGrammar } from '../../support/random-ebnf.ts';
import { randomPattern } from '../../support/random-patterns.ts';
import { seededRandom } from '../../support/seeded-random.ts';

let lab: WalkLab;
before(async () => {
  lab = await WalkLab.load();
});

const textOf = (bytes: Buffer): string => new TextDecoder('utf-8', { fatal: true }).decode(bytes);

test('500 random schemas: whatever a walk writes validates', async (t) => {
  const random = seededRandom(11);
  let numFinished = 0;
  for (let round = 0; round < 500; round++) {
    const schema = randomSchema(random);
    const [bytes] = await lab.walks(constraintFormat({ type: 'json_schema', schema, param: 'schema' }), 1, random);
    if (!bytes) continue;
    numFinished += 1;
    assert.ok(jsonValidator(schema)(JSON.parse(textOf(bytes))), `${textOf(bytes)} for ${JSON.stringify(schema)}`);
  }
  t.diagnostic(`${numFinished} of 500 walks ended`);
  assert.ok(numFinished >= 450, `only ${numFinished} ended`);
});

test('200 random patterns: whatever a walk writes matches', async (t) => {
  const random = seededRandom(12);
  let numFinished = 0;
  for (let round = 0; round < 200; round++) {
    const pattern = randomPattern(random, 1);
    const [bytes] = await lab.walks(constraintFormat({ type: 'regex', pattern, param: 'pattern' }), 1, random);
    if (!bytes) continue;
    numFinished += 1;
    assert.match(textOf(bytes), new RegExp(`^(?:${pattern})$`, 'u'));
  }
  t.diagnostic(`${numFinished} of 200 walks ended`);
  assert.ok(numFinished >= 180, `only ${numFinished} ended`);
});

test('50 random grammars: whatever a walk writes is recognised', async () => {
  const random = seededRandom(13);
  let numFinished = 0;
  for (let round = 0; round < 50; round++) {
    const { ebnf, matches } = randomGrammar(random);
    const format = constraintFormat({ type: 'grammar', ebnf, param: 'grammar' });
    for (const bytes of await lab.walks(format, 4, random)) {
      if (!bytes) continue;
      numFinished += 1;
      assert.ok(matches(textOf(bytes)), `${JSON.stringify(textOf(bytes))} of\n${ebnf}`);
    }
  }
  assert.ok(numFinished >= 150, `only ${numFinished} of 200 ended`);
});
