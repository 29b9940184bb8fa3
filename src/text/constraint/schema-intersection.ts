/** Shapes that hold together: what `allOf`, a `$ref` with neighbours, and `anyOf` beside other keywords mean. */

import { accepts } from './automaton.ts';
import { unsupported } from './constraint-error.ts';
import type { NumberRange } from './numbers.ts';
import type { ArrayShape, ObjectShape, Shape, Source, Sources } from './schema-shape.ts';
import { languageOfShape, type StringShape } from './string-language.ts';

/** Whether a value matches all these schemas. */
export type Matches = (value: unknown, sources: Sources) => boolean;

/** The values that have both shapes; null when the types or the values differ. */
export function intersected(a: Shape, b: Shape, fits: (value: unknown, shape: Shape) => boolean): Shape | null {
  if (a.type === 'literals' || b.type === 'literals') {
    const [known, other] = a.type === 'literals' ? [a, b] : [b as Shape & { type: 'literals' }, a];
    const values = new Map([...known.values].filter(([, value]) => fits(value, other)));
    return values.size === 0 ? null : { type: 'literals', values };
  }
  if (a.type === 'number' && b.type === 'number') {
    return {
      type: 'number',
      ...commonRange(a, b),
      divisors: [...new Set([...a.divisors, ...b.divisors])],
      excluded: [...a.excluded, ...b.excluded],
    };
  }
  if (a.type === 'string' && b.type === 'string') return { type: 'string', ...commonStrings(a, b) };
  if (a.type === 'array' && b.type === 'array') return commonArrays(a, b);
  if (a.type === 'object' && b.type === 'object') return commonObjects(a, b);
  return null;
}

export const joinedSources = (a: Sources, b: Sources): Sources => {
  const byId = new Map<number, Source>();
  for (const source of [...a, ...b]) byId.set(source.id, source);
  return [...byId.values()];
};

export function commonStrings(a: StringShape, b: StringShape): StringShape {
  return {
    minLength: Math.max(a.minLength, b.minLength),
    maxLength: smaller(a.maxLength, b.maxLength),
    every: [...a.every, ...b.every],
    none: [...a.none, ...b.none],
  };
}

function commonRange(a: NumberRange, b: NumberRange): NumberRange {
  const min = !a.min
    ? b.min
    : !b.min
      ? a.min
      : a.min.value > b.min.value || (a.min.value === b.min.value && a.min.isExclusive)
        ? a.min
        : b.min;
  const max = !a.max
    ? b.max
    : !b.max
      ? a.max
      : a.max.value < b.max.value || (a.max.value === b.max.value && a.max.isExclusive)
        ? a.max
        : b.max;
  return { isInteger: a.isInteger || b.isInteger, min, max };
}

const smaller = (a: number | null, b: number | null): number | null => (a === null ? b : b === null ? a : Math.min(a, b));

function commonArrays(a: ArrayShape, b: ArrayShape): ArrayShape {
  const numPrefix = Math.max(a.prefix.length, b.prefix.length);
  return {
    type: 'array',
    prefix: Array.from({ length: numPrefix }, (_, index) => joinedSources(a.prefix[index] ?? a.rest, b.prefix[index] ?? b.rest)),
    rest: joinedSources(a.rest, b.rest),
    minItems: Math.max(a.minItems, b.minItems),
    maxItems: smaller(a.maxItems, b.maxItems),
    contains: [...a.contains, ...b.contains],
    uniqueAt: a.uniqueAt ?? b.uniqueAt,
  };
}

function commonObjects(a: ObjectShape, b: ObjectShape): ObjectShape {
  if (a.patterns.length > 0 && b.patterns.length > 0) {
    throw unsupported('patternProperties', b.path, 'cannot be combined with other "patternProperties" for the same object');
  }
  for (const [one, other] of [[a, b] as const, [b, a] as const]) {
    if (one.patterns.length > 0 && other.additional !== null) {
      throw unsupported('patternProperties', one.path, 'cannot be combined with another schema that has "additionalProperties"');
    }
  }
  const properties = new Map<string, Sources>();
  for (const name of [...a.properties.keys(), ...b.properties.keys()])
    properties.set(name, joinedSources(sourcesOf(a, name), sourcesOf(b, name)));
  return {
    type: 'object',
    properties,
    required: new Set([...a.required, ...b.required]),
    patterns: [...a.patterns, ...b.patterns],
    additional: a.additional === null ? b.additional : b.additional === null ? a.additional : joinedSources(a.additional, b.additional),
    isClosed: a.isClosed || b.isClosed,
    names: commonStrings(a.names, b.names),
    minProperties: Math.max(a.minProperties, b.minProperties),
    maxProperties: smaller(a.maxProperties, b.maxProperties),
    path: a.path.length <= b.path.length ? a.path : b.path,
  };
}

/** The schemas for the value of a property. */
export function sourcesOf(shape: ObjectShape, name: string): Sources {
  const named = shape.properties.get(name);
  if (named) return named;
  const matching = shape.patterns.filter(({ every, none }) =>
    accepts(languageOfShape({ minLength: 0, maxLength: null, every, none }), name),
  );
  if (matching.length > 0) return matching.reduce<Sources>((all, { sources }) => joinedSources(all, sources), []);
  return shape.additional ?? [];
}
