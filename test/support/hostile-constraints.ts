/** Constraints meant to exhaust a stack, the memory or the time of whoever compiles them. */

interface Hostile {
  readonly name: string;
  /** Of the request body. */
  readonly fields: object;
}

const nested = (depth: number, wrap: (inner: unknown) => unknown, leaf: unknown): unknown => {
  let schema = leaf;
  for (let level = 0; level < depth; level++) schema = wrap(schema);
  return schema;
};
const schema = (name: string, value: unknown): Hostile => ({ name, fields: { guided_json: value } });
const regex = (pattern: string): Hostile => ({ name: `pattern ${pattern.slice(0, 40)}`, fields: { guided_regex: pattern } });
const grammar = (name: string, ebnf: string): Hostile => ({ name: `grammar ${name}`, fields: { guided_grammar: ebnf } });
const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index));
const record = (count: number, make: (index: number) => unknown) =>
  Object.fromEntries(times(count, (index) => [`key_${index}`, make(index)]));

const DEEP = [20, 60, 99, 101, 1_000].flatMap((depth) => [
  schema(
    `objects ${depth} deep`,
    nested(depth, (inner) => ({ type: 'object', properties: { a: inner }, required: ['a'] }), { type: 'null' }),
  ),
  schema(
    `arrays ${depth} deep`,
    nested(depth, (inner) => ({ type: 'array', items: inner }), { type: 'null' }),
  ),
  schema(
    `anyOf ${depth} deep`,
    nested(depth, (inner) => ({ anyOf: [inner, { type: 'null' }] }), { type: 'string' }),
  ),
  schema(
    `not ${depth} deep`,
    nested(depth, (inner) => ({ not: inner }), { type: 'string' }),
  ),
]);

/** `guided_json` may be JSON text, which no stack limits before it is read. */
const DEEP_TEXT = [10_000, 200_000].map((depth) =>
  schema(`arrays ${depth} deep, as text`, `${'{"items":'.repeat(depth)}{}${'}'.repeat(depth)}`),
);

const WIDE = [
  schema('100,000 values', { enum: times(100_000, (index) => index) }),
  schema('40,000 values', { enum: times(40_000, (index) => `value ${index}`) }),
  schema('5,000 values', { enum: times(5_000, (index) => `value ${index}`) }),
  schema('10,000 properties', { type: 'object', properties: record(10_000, () => ({ type: 'string' })) }),
  schema('1,000 properties', { type: 'object', properties: record(1_000, () => ({ type: 'string' })) }),
  schema('1,000 free properties', {
    type: 'object',
    properties: record(1_000, () => ({ type: 'string' })),
    additionalProperties: { type: 'integer' },
  }),
  schema('a megabyte of title', { type: 'string', title: 'x'.repeat(1_000_000) }),
  schema('a megabyte of const', { const: 'x'.repeat(1_000_000) }),
  schema('a megabyte of properties', { type: 'object', properties: record(20_000, (index) => ({ type: 'string', maxLength: index })) }),
  schema('200 kilobytes of const', { const: 'y'.repeat(200_000) }),
  { name: 'a megabyte of pattern', fields: { guided_regex: 'a'.repeat(1_000_000) } },
  { name: 'a megabyte of grammar', fields: { guided_grammar: `root ::= "${'a'.repeat(1_000_000)}"` } },
  { name: '100,000 choices', fields: { guided_choice: times(100_000, (index) => `choice ${index}`) } },
  { name: '1,000 choices', fields: { guided_choice: times(1_000, (index) => `choice ${index}`) } },
  { name: 'a long choice', fields: { guided_choice: ['x'.repeat(300_000)] } },
];

const REPEATED = [
  ...[1_000, 100_000, 10_000_000, 1e15].flatMap((count) => [
    schema(`minLength ${count}`, { type: 'string', minLength: count }),
    schema(`maxLength ${count}`, { type: 'string', maxLength: count }),
    schema(`minItems ${count}`, { type: 'array', items: { type: 'null' }, minItems: count }),
    schema(`maxItems ${count}`, { type: 'array', items: { type: 'object', properties: { a: { type: 'string' } } }, maxItems: count }),
  ]),
  schema(
    'arrays of arrays of 1,000',
    nested(4, (inner) => ({ type: 'array', items: inner, minItems: 1_000, maxItems: 1_000 }), { type: 'null' }),
  ),
  schema('pattern beside a length', { type: 'string', pattern: '^(a|b|ab)*$', maxLength: 999 }),
  schema('maxProperties', { type: 'object', additionalProperties: true, maxProperties: 1_000_000 }),
  schema('minProperties', { type: 'object', additionalProperties: true, minProperties: 1_000_000 }),
  schema('contains', { type: 'array', contains: { const: 1 }, minContains: 400, maxItems: 400 }),
  schema('multipleOf', { type: 'integer', multipleOf: 9_007_199_254_740_991 }),
  schema('40 properties that depend on each other', {
    type: 'object',
    properties: record(40, () => ({ type: 'integer' })),
    dependentRequired: Object.fromEntries(times(40, (index) => [`key_${index}`, [`key_${(index + 1) % 40}`]])),
  }),
  schema('a product of alternatives', {
    allOf: times(12, (index) => ({ anyOf: times(4, (choice) => ({ properties: { [`p${index}`]: { const: choice } } })) })),
  }),
  schema('exponential references', {
    $defs: Object.fromEntries(
      times(40, (index) => [
        `d${index}`,
        index === 39 ? { type: 'null' } : { allOf: [{ $ref: `#/$defs/d${index + 1}` }, { $ref: `#/$defs/d${index + 1}` }] },
      ]),
    ),
    $ref: '#/$defs/d0',
  }),
  schema('a reference to itself', { $ref: '#' }),
  schema('references in a circle', { $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } }, $ref: '#/$defs/a' }),
  schema('an object that never ends', { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] }),
  schema('300 patterns', {
    type: 'object',
    properties: record(300, (index) => ({ type: 'string', pattern: `^(a|b)*a(a|b){${index % 7}}x{${index}}$` })),
  }),
];

const PATTERNS = [
  ...[
    '(a+)+b',
    '(a*)*',
    '(a|a)*b',
    '(a|aa)+$',
    '(.*a){12}',
    '([a-z]+)*\\d',
    '(x+x+)+y',
    '((a{0,9}){0,9}){0,9}',
    '((a{1,1000}){1,1000}){1,1000}',
  ],
  ...['(a|b)*a(a|b){16}', '(?:a?){60}a{60}', `${'('.repeat(40)}a${')*'.repeat(40)}`, `${'('.repeat(5_000)}a${')'.repeat(5_000)}`],
  ...['a{100000}', '[a-z]{1,100000}', '\\w{50000}', '(\\d{3}){1000}', '(一|二|三){500}', '(a{50}|b{50}|c{50}){50}', '(?!a)'.repeat(200)],
  ...['(', '[', '\\', 'a{2,1}', '(?<=a)b', '(a)\\1', '\\bword\\b', '\\p{L}+', '[z-a]', '*', ')'],
].map(regex);

const GRAMMARS = [
  grammar('left recursion', 'root ::= root "a" | "a"'),
  grammar('a rule of itself', 'root ::= root'),
  grammar('two rules of each other', 'root ::= a\na ::= b\nb ::= a'),
  grammar('ambiguity', 'root ::= s\ns ::= s s | "a" | ""'),
  grammar('nested repeats', 'root ::= (("a"{1,1000}){1,1000}){1,1000}'),
  grammar('nested stars', 'root ::= ((("a"*)*)*)* "b"'),
  grammar('10,000 brackets', `root ::= ${'('.repeat(10_000)}"a"${')'.repeat(10_000)}`),
  grammar('20,000 alternatives', `root ::= ${times(20_000, (index) => `"w${index}"`).join(' | ')}`),
  grammar('5,000 rules', `root ::= r0\n${times(5_000, (index) => `r${index} ::= "a" r${index + 1} | "b"`).join('\n')}\nr5000 ::= "c"`),
  grammar('a missing rule', 'root ::= nothing'),
  grammar('no root', 'start ::= "a"'),
  grammar('no end of text', 'root ::= "a'),
  grammar('no end of class', 'root ::= [a'),
  grammar('nothing', '   '),
  grammar('nulls', 'root ::= "\\x00"'),
];

export const HOSTILE: readonly Hostile[] = [...DEEP, ...DEEP_TEXT, ...WIDE, ...REPEATED, ...PATTERNS, ...GRAMMARS];
