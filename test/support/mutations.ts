/** Request bodies gone wrong in ways that clients and attackers find: types, ranges, unicode, sizes, and damaged bytes. */
import type { Random } from './seeded-random.ts';

type Json = unknown;

const nested = (depth: number): Json => (depth === 0 ? 1 : [nested(depth - 1)]);
const chain = (depth: number): Json => (depth === 0 ? {} : { a: chain(depth - 1) });

const HOSTILE: readonly Json[] = [
  null,
  true,
  false,
  0,
  -0,
  1,
  -1,
  2,
  0.5,
  -0.5,
  1e308,
  -1e308,
  5e-324,
  2 ** 31,
  2 ** 53,
  -(2 ** 63),
  '',
  ' ',
  '0',
  '1',
  'true',
  'null',
  'NaN',
  '-1',
  '1e5',
  '{}',
  '{"type":"object"}',
  '\u0000',
  '\ud800',
  '\udfff\ud800',
  '\u202e\u200b\ufeff',
  '👩‍👩‍👧‍👦🇩🇪',
  'é'.repeat(200),
  '<script>alert(1)</script>',
  "'; DROP TABLE users; --",
  '../../../../etc/passwd',
  '{{ 7 * 7 }}',
  '{% for i in range(1000000000) %}x{% endfor %}',
  '<|im_end|>',
  '<think>',
  '</think>',
  '<tool_call>',
  '__proto__',
  'constructor',
  'a'.repeat(5000),
  [],
  [null],
  [[]],
  [[], {}],
  [0],
  [-1],
  [1.5],
  [4095],
  [4096],
  [2 ** 31],
  ['a', 1],
  ['a', null],
  {},
  { a: null },
  { type: null },
  { type: 'json_schema' },
  { type: 'json_schema', json_schema: null },
  { type: 'function', function: {} },
  { __proto__: null, constructor: 1 },
  new Array(3000).fill(0),
  new Array(300).fill('x'),
  nested(100),
  nested(300),
  chain(100),
  chain(300),
];

/** One to three changes somewhere in the body; one time in six its bytes are damaged too. */
export function mutated(body: Json, extraFields: readonly string[], random: Random): Uint8Array {
  let changed = structuredClone(body);
  const numChanges = 1 + random.below(3);
  for (let i = 0; i < numChanges; i++) changed = change(changed, extraFields, random);
  const bytes = Buffer.from(JSON.stringify(changed) ?? 'undefined');
  return random.below(6) === 0 ? damaged(bytes, random) : bytes;
}

function change(body: Json, extraFields: readonly string[], random: Random): Json {
  const places = placesOf(body);
  const place = pick(places, random);
  if (!place || random.below(50) === 0) return hostile(random);
  const { container, key } = place;
  const holder = container as Record<PropertyKey, Json>;
  switch (random.below(6)) {
    case 0:
      if (Array.isArray(container)) container.splice(Number(key), 1);
      else delete holder[key];
      break;
    case 1:
      holder[key] = [holder[key], holder[key]];
      break;
    case 2:
      (body as Record<string, Json>)[pick(extraFields, random)!] = hostile(random);
      break;
    case 3:
      holder[pick(Object.keys(holder), random) ?? key] = holder[key];
      break;
    default:
      holder[key] = hostile(random);
  }
  return body;
}

/** A copy of its own, since it may be changed further. */
const hostile = (random: Random): Json => structuredClone(pick(HOSTILE, random));

function placesOf(value: Json): { container: object; key: string }[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => [{ container: value, key }, ...placesOf(item)]);
}

function damaged(bytes: Buffer, random: Random): Uint8Array {
  const at = random.below(bytes.length);
  switch (random.below(4)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff, 0xfe, 0x80]), bytes.subarray(at)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
    default:
      return Buffer.concat([bytes, bytes]);
  }
}

function pick<T>(list: readonly T[], random: Random): T | undefined {
  return list[random.below(list.length)];
}
