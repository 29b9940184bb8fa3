/** The shapes without any condition, one per type. */
import type { ArrayShape, ObjectShape, Shape } from './schema-shape.ts';
import { canonicalJson } from './schema-shape.ts';
import { ANY_STRING } from './string-language.ts';

export const literals = (values: readonly unknown[]): Shape => ({
  type: 'literals',
  values: new Map(values.map((value) => [canonicalJson(value), value])),
});

export const ANY_NUMBER: Shape & { type: 'number' } = {
  type: 'number',
  isInteger: false,
  min: null,
  max: null,
  divisors: [],
  excluded: [],
};

export const ANY_ARRAY: ArrayShape = { type: 'array', prefix: [], rest: [], minItems: 0, maxItems: null, contains: [], uniqueAt: null };

export const anyObject = (path: string): ObjectShape => ({
  type: 'object',
  properties: new Map(),
  required: new Set(),
  patterns: [],
  additional: null,
  isClosed: false,
  names: ANY_STRING,
  minProperties: 0,
  maxProperties: null,
  path,
});

/** The shapes of a JSON schema `type`; undefined for a name that is none. */
export function shapeOfType(type: string, path: string): Shape | undefined {
  switch (type) {
    case 'null':
      return literals([null]);
    case 'boolean':
      return literals([true, false]);
    case 'number':
      return ANY_NUMBER;
    case 'integer':
      return { ...ANY_NUMBER, isInteger: true };
    case 'string':
      return { type: 'string', ...ANY_STRING };
    case 'array':
      return ANY_ARRAY;
    case 'object':
      return anyObject(path);
    default:
      return undefined;
  }
}

export const anyShapes = (path: string): readonly Shape[] => [
  literals([null, true, false]),
  ANY_NUMBER,
  { type: 'string', ...ANY_STRING },
  ANY_ARRAY,
  anyObject(path),
];
