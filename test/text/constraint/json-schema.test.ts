/** What each keyword of JSON Schema becomes: which documents a grammar takes, judged by ajv, and what is refused by name. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { TroupeError } from '../../../src/core/errors.ts';
import { constraintFormat } from '../../../src/text/constraint/constraint-format.ts';
import { TextLab } from '../../support/grammar-lab.ts';
import { DRAFT_7, jsonValidator } from '../../support/json-validator.ts';

let lab: TextLab;
before(async () => {
  lab = await TextLab.load();
});

const formatOf = (schema: unknown) => constraintFormat({ type: 'json_schema', schema, param: 'response_format' });
const object = (properties: object, more: object = {}) => ({ type: 'object', properties, required: Object.keys(properties), ...more });

type Case = readonly [name: string, schema: unknown, documents: readonly unknown[], alsoRefused?: readonly unknown[]];

const STRINGS = ['', 'a', 'ab', 'abc', 'é', '日本', 'a"b', 'a\\b', 'a\nb', 'AB', 'a'.repeat(20), 'a'.repeat(17), 'a'.repeat(300)];
const VALUES = [null, true, false, 0, 1, -1, 1.5, 'a', '', [], [1], {}, { a: 1 }];
const FORMATTED = [
  ...[
    '2024-02-28',
    '2024-02-29',
    '2023-02-29',
    '2024-13-01',
    '12:30:45Z',
    '25:00:00Z',
    '2024-02-28T12:30:45Z',
    '2024-02-28T12:30:45.5+02:00',
  ],
  ...[
    'a@b.co',
    'a@b',
    '550e8400-e29b-41d4-a716-446655440000',
    'http://a.b/c?d#e',
    '1.2.3.4',
    '256.1.1.1',
    '::1',
    '1:2:3:4:5:6:7:8',
    '1::2::3',
  ],
  ...['P1D', 'P', 'PT1H', 'P1Y2M3DT4H5M6S', 'example.com', '-a.com', 'nope nope', '/a/b~0', '/a~2'],
];

/** `alsoRefused`: valid documents that are left out, as docs/structured-output.md says. */
const CASES: readonly Case[] = [
  ['type', { type: 'integer' }, VALUES],
  ['a list of types', { type: ['string', 'null'] }, VALUES],
  ['true', true, VALUES],
  ['no keyword', {}, VALUES],
  [
    'annotations',
    { type: 'string', title: 't', description: 'd', default: 1, examples: [2], $comment: 'c', readOnly: true, 'x-own': { type: 3 } },
    VALUES,
  ],
  ['nullable', { type: 'string', nullable: true }, VALUES],
  ['const', { const: { a: [1, 'x'] } }, [{ a: [1, 'x'] }, { a: [1] }, 'x']],
  ['enum of mixed types', { enum: [1, 'é"', null, true, { b: [1] }] }, [1, 'é"', null, true, { b: [1] }, 2, 'b', false]],
  ['enum beside type', { type: 'string', enum: ['a', 1] }, ['a', 1]],
  ['enum beside bounds', { enum: [1, 5, 9], minimum: 5 }, [1, 5, 9]],
  ['integer bounds', { type: 'integer', minimum: 3, maximum: 120 }, [2, 3, 99, 100, 120, 121, 200]],
  ['fractional bounds of an integer', { type: 'integer', minimum: 2.5, exclusiveMaximum: 5 }, [2, 3, 4, 5]],
  ['number bounds', { type: 'number', minimum: -1.5, exclusiveMaximum: 10 }, [-2, -1.6, -1.5, -1, 0, 9.99, 10]],
  ['bounds without a type', { minimum: 3 }, [1, 5, 'a', null]],
  ['multipleOf', { type: 'integer', multipleOf: 15 }, [0, 15, 20, 30, -45, 1]],
  ['int32', { type: 'integer', format: 'int32' }, [2147483647, 2147483648, -2147483648, -2147483649], []],
  ['lengths', { type: 'string', minLength: 2, maxLength: 17 }, STRINGS],
  ['lengths over several blocks', { type: 'string', minLength: 18, maxLength: 300 }, [...STRINGS, 'a'.repeat(301), 'b"'.repeat(100)]],
  ['minLength alone', { type: 'string', minLength: 19 }, STRINGS],
  ['lengths without a type', { maxLength: 1 }, [...STRINGS, 5, null]],
  ['pattern', { type: 'string', pattern: '^[a-z]{2}$' }, STRINGS],
  ['pattern without anchors', { type: 'string', pattern: 'b' }, STRINGS],
  ['pattern with quotes', { type: 'string', pattern: '^a["\\\\]b$' }, STRINGS],
  ['pattern beyond ASCII', { type: 'string', pattern: '^[一-龥]+$' }, STRINGS],
  ['pattern beside lengths', { type: 'string', pattern: '^[ab]*$', minLength: 1, maxLength: 2 }, STRINGS],
  ['pattern beside format', { type: 'string', pattern: '^1', format: 'ipv4' }, ['1.2.3.4', '2.2.3.4', '1']],
  ...['date', 'time', 'date-time', 'email', 'uuid', 'ipv4', 'ipv6', 'duration', 'json-pointer', 'uri'].map(
    (format): Case => [`format ${format}`, { type: 'string', format }, FORMATTED],
  ),
  ['format hostname', { type: 'string', format: 'hostname' }, ['example.com', '-a.com', 'a..b', 'a-b.c']],
  ['items', { type: 'array', items: { type: 'integer' } }, [[], [1], [1, 2], ['a']]],
  ['minItems and maxItems', { type: 'array', items: { type: 'integer' }, minItems: 1, maxItems: 2 }, [[], [1], [1, 2], [1, 2, 3]]],
  [
    'prefixItems',
    { type: 'array', prefixItems: [{ type: 'integer' }, { type: 'string' }], items: false },
    [[], [1], [1, 'a'], ['a'], [1, 'a', 2]],
  ],
  [
    'prefixItems and more',
    { type: 'array', prefixItems: [{ type: 'integer' }], items: { type: 'null' }, minItems: 2 },
    [[1], [1, null], [1, null, null], [1, 1]],
  ],
  ['items as in draft 7', { $schema: DRAFT_7, type: 'array', items: [{ type: 'integer' }], additionalItems: false }, [[], [1], [1, 2]]],
  [
    'contains',
    { type: 'array', items: { type: 'integer' }, contains: { const: 7 }, maxItems: 3 },
    [[], [7], [1, 7], [1, 2], [7, 7, 7], [1, 2, 3, 7]],
  ],
  [
    'minContains',
    { type: 'array', items: { type: 'integer' }, contains: { minimum: 5 }, minContains: 2 },
    [[5], [5, 6], [1, 5, 1, 6], [1, 1, 1]],
  ],
  [
    'uniqueItems of listed values',
    { type: 'array', items: { enum: ['a', 'b', 1] }, uniqueItems: true },
    [[], ['a'], ['b', 'a', 1], ['a', 'a']],
  ],
  ['uniqueItems of one item', { type: 'array', uniqueItems: true, maxItems: 1 }, [[], [1], [1, 2]]],
  ['unevaluatedItems', { type: 'array', prefixItems: [{ type: 'integer' }], unevaluatedItems: false }, [[1], [1, 2]]],
  [
    'required properties',
    object({ a: { type: 'integer' }, 'é"': { type: 'string' } }, { additionalProperties: false }),
    [{ a: 1, 'é"': 'x' }, { a: 1 }, {}],
  ],
  [
    'optional properties',
    { type: 'object', properties: { a: { type: 'integer' }, b: {}, c: {} }, required: ['b'], additionalProperties: false },
    [{ b: 1 }, { a: 1, b: 1 }, { b: 1, c: 1 }, { a: 1 }, {}],
  ],
  ['no additionalProperties', object({ a: { type: 'integer' } }), [{ a: 1 }, { a: 1, b: 2 }], [{ a: 1, b: 2 }]],
  [
    'additionalProperties',
    object({ ab: { type: 'integer' } }, { additionalProperties: { type: 'string' } }),
    [{ ab: 1 }, { ab: 1, a: 'x' }, { ab: 1, abc: 'x' }, { ab: 1, a: 2 }],
  ],
  [
    'only additionalProperties',
    { type: 'object', additionalProperties: { type: 'integer' }, maxProperties: 2 },
    [{}, { a: 1 }, { a: 1, b: 2 }, { a: 1, b: 2, c: 3 }, { a: 'x' }],
  ],
  ['a required property nobody describes', { type: 'object', properties: { a: {} }, required: ['a', 'z'] }, [{ a: 1 }, { a: 1, z: 2 }]],
  [
    'minProperties',
    { type: 'object', properties: { a: {}, b: {}, c: {} }, minProperties: 2, additionalProperties: false },
    [{}, { a: 1 }, { a: 1, c: 1 }, { a: 1, b: 1, c: 1 }],
  ],
  [
    'maxProperties',
    { type: 'object', properties: { a: {}, b: {}, c: {} }, maxProperties: 1, additionalProperties: false },
    [{}, { a: 1 }, { c: 1 }, { a: 1, c: 1 }],
  ],
  [
    'patternProperties',
    { type: 'object', patternProperties: { '^s_': { type: 'string' } }, additionalProperties: false },
    [{}, { s_a: 'x' }, { s_a: 1 }, { q: 1 }],
  ],
  ['propertyNames', { type: 'object', propertyNames: { pattern: '^[a-z]+$' } }, [{}, { ab: 1 }, { A: 1 }]],
  [
    'propertyNames as a list',
    { type: 'object', propertyNames: { enum: ['a', 'b'] }, additionalProperties: true },
    [{ a: 1 }, { b: 1 }, { c: 1 }],
  ],
  [
    'dependentRequired',
    { type: 'object', properties: { a: {}, b: {} }, dependentRequired: { a: ['b'] } },
    [{}, { b: 1 }, { a: 1, b: 1 }, { a: 1 }],
  ],
  [
    'dependentSchemas',
    { type: 'object', properties: { a: {}, b: {} }, dependentSchemas: { a: { required: ['b'] } } },
    [{}, { b: 1 }, { a: 1, b: 1 }, { a: 1 }],
  ],
  [
    'dependencies',
    { $schema: DRAFT_7, type: 'object', properties: { a: {}, b: {} }, dependencies: { a: ['b'] } },
    [{}, { b: 1 }, { a: 1, b: 1 }, { a: 1 }],
  ],
  [
    'if, then, else',
    {
      ...object({ k: { enum: ['x', 'y'] } }),
      if: { properties: { k: { const: 'x' } } },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: { properties: { v: { type: 'integer' } }, required: ['v'] },
      else: { maxProperties: 1 },
    },
    [{ k: 'x' }, { k: 'x', v: 1 }, { k: 'y' }],
  ],
  ['not', { type: 'integer', not: { const: 1 } }, [0, 1, 2, 10, 11]],
  ['not of words', { type: 'string', not: { enum: ['a', 'ab'] } }, STRINGS],
  ['not of a type', { not: { type: 'string' } }, VALUES],
  ['anyOf', { anyOf: [{ type: 'integer' }, { type: 'null' }] }, VALUES],
  ['anyOf beside bounds', { type: 'integer', minimum: 5, anyOf: [{ maximum: 10 }, { minimum: 20 }] }, [3, 7, 15, 25]],
  [
    'oneOf of apart alternatives',
    { oneOf: [{ type: 'integer', maximum: 3 }, { type: 'integer', minimum: 5 }, { type: 'string' }] },
    [1, 4, 6, 'a', null],
  ],
  [
    'oneOf by a discriminator',
    { oneOf: ['x', 'y'].map((k) => object({ k: { const: k }, [k]: { type: 'integer' } })) },
    [
      { k: 'x', x: 1 },
      { k: 'y', y: 1 },
      { k: 'x', y: 1 },
    ],
  ],
  [
    'allOf',
    { allOf: [object({ a: { type: 'integer' } }), object({ a: { minimum: 3 }, b: { type: 'string' } })] },
    [{ a: 3, b: '' }, { a: 2, b: '' }, { a: 3 }],
  ],
  ['$ref', { $defs: { x: { type: 'integer' } }, $ref: '#/$defs/x', minimum: 5 }, [1, 6, 'a']],
  ['$ref by an anchor', { $defs: { x: { $anchor: 'here', type: 'integer' } }, items: { $ref: '#here' }, type: 'array' }, [[1], ['a']]],
  ['$ref with escapes', { $defs: { 'a/b c': { type: 'integer' } }, $ref: '#/$defs/a~1b%20c' }, [1, 'a']],
  [
    '$ref to itself',
    { type: 'object', properties: { next: { anyOf: [{ $ref: '#' }, { type: 'null' }] } }, required: ['next'] },
    [{ next: null }, { next: { next: null } }, { next: 1 }, { next: {} }],
  ],
  ['unevaluatedProperties', { ...object({ a: { type: 'integer' } }), unevaluatedProperties: false }, [{ a: 1 }, { a: 1, b: 1 }]],
];

test('a grammar takes exactly the valid documents, in both spacings', async () => {
  for (const [name, schema, documents, alsoRefused = []] of CASES) {
    const isValid = jsonValidator(schema);
    const spaced = (value: unknown): string =>
      Array.isArray(value)
        ? `[${value.map(spaced).join(', ')}]`
        : typeof value === 'object' && value !== null
          ? `{${Object.entries(value)
              .map(([key, inner]) => `${JSON.stringify(key)}: ${spaced(inner)}`)
              .join(', ')}}`
          : JSON.stringify(value);
    const refused = new Set(alsoRefused.map((value) => JSON.stringify(value)));
    const wanted = documents.filter((document) => isValid(document) && !refused.has(JSON.stringify(document)));
    for (const write of [(value: unknown) => JSON.stringify(value), spaced]) {
      const texts = documents.map(write);
      assert.deepEqual(await lab.matching(formatOf(schema), texts), wanted.map(write), name);
    }
  }
});

test('white space is bounded, and names come in the order of the schema', async () => {
  const format = formatOf(object({ a: { type: 'integer' }, b: { type: 'integer' } }));
  const texts = [
    '{"a":1,"b":2}',
    '{"a": 1, "b": 2}',
    '{ "a":1,"b":2}',
    '{"a":1,\n"b":2}',
    '{"a":  1,"b":2}',
    '{"b":2,"a":1}',
    ' {"a":1,"b":2}',
    '{"a":1,"b":2}\n',
  ];
  assert.deepEqual(await lab.matching(format, texts), texts.slice(0, 2));
});

test('half characters and surrogates never come into a string', async () => {
  const texts = ['"\\ud83d\\ude00"', '"\\ud83d"', '"\\ude00"', '"\\u00e9"', '"😀"', '"\u0001"', '"\\u0001"'];
  assert.deepEqual(await lab.matching(formatOf({ type: 'string' }), texts), ['"\\ud83d\\ude00"', '"\\u00e9"', '"😀"', '"\\u0001"']);
});

test('what would not be enforced is refused by its name and place', () => {
  const refusals: readonly (readonly [unknown, string])[] = [
    [
      object({ a: { type: 'array', items: { type: 'integer' }, uniqueItems: true } }),
      '"uniqueItems" at $.properties.a is supported for arrays',
    ],
    [{ type: 'string', format: 'regex' }, '"format" at $ knows date,'],
    [{ type: 'number', multipleOf: 0.01 }, '"multipleOf" at $ is supported for whole numbers'],
    [{ oneOf: [{ type: 'integer' }, { type: 'number' }] }, '"oneOf" at $ is not supported where alternatives overlap'],
    [{ not: { type: 'array', items: { type: 'integer' } } }, '"not" at $ is not supported around arrays'],
    [{ type: 'array', maxContains: 1, contains: {} }, '"maxContains" at $ is not supported'],
    [{ $dynamicRef: '#x' }, '"$dynamicRef" at $ is not supported'],
    [{ items: { $id: 'https://a.b/c' } }, '"$id" at $.items is supported at the top'],
    [{ $ref: 'https://a.b/c' }, '"$ref" at $ points to "https://a.b/c"'],
    [{ $ref: '#/$defs/x' }, '"$ref" at $ points to "#/$defs/x"'],
    [{ type: 'object', additionalProperties: true, minProperties: 2 }, '"minProperties" at $ is not supported for more'],
    [{ unevaluatedProperties: { type: 'string' } }, '"unevaluatedProperties" at $ is supported with true or false'],
    [{ pattern: '(?<=a)b' }, '"pattern" at $: The pattern'],
    [{ type: 'strnig' }, '"type" at $ must name JSON types, not "strnig"'],
    [{ minLength: '1' }, '"minLength" at $ must be a whole number'],
    [{ required: 'a' }, '"required" at $ must be a list of property names'],
    [{ properties: [] }, '"properties" at $ must be an object'],
    [{ exclusiveMinimum: true }, '"exclusiveMinimum" at $ must be a number'],
    [{ anyOf: [] }, '"anyOf" at $ must not be empty'],
    [{ properties: { 'a b': 3 } }, 'The schema at $.properties["a b"] must be an object, true or false'],
    [5, 'The schema at $ must be an object, true or false'],
    [false, 'No JSON document can match the schema'],
    [{ type: 'integer', minimum: 5, maximum: 4 }, 'No JSON document can match the schema'],
    [{ type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] }, 'No JSON document can match the schema'],
    [{ $ref: '#' }, 'refers to itself'],
  ];
  for (const [schema, words] of refusals) {
    assert.throws(
      () => formatOf(schema),
      (error) =>
        error instanceof TroupeError &&
        error.code === 'invalid_request' &&
        error.param === 'response_format' &&
        error.message.includes(words),
      words,
    );
  }
});
