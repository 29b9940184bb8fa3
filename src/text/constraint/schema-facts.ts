/** Questions about shapes: does a value have one, can a value have both. */
import { bothOf, isEmpty } from './automaton.ts';
import { sourcesOf } from './schema-intersection.ts';
import { canonicalJson, type ObjectShape, type Shape, type Sources } from './schema-shape.ts';
import { fitsString, languageOfShape } from './string-language.ts';

export function isMember(value: unknown, shape: Shape, matches: (value: unknown, sources: Sources) => boolean): boolean {
  switch (shape.type) {
    case 'literals':
      return shape.values.has(canonicalJson(value));
    case 'number':
      return typeof value === 'number' && isInRange(value, shape);
    case 'string':
      return typeof value === 'string' && fitsString(value, shape);
    case 'array': {
      if (!Array.isArray(value)) return false;
      if (value.length < shape.minItems || (shape.maxItems !== null && value.length > shape.maxItems)) return false;
      if (shape.uniqueAt !== null && new Set(value.map(canonicalJson)).size < value.length) return false;
      if (shape.contains.some(({ sources, min }) => value.filter((item) => matches(item, sources)).length < min)) return false;
      return value.every((item, index) => matches(item, shape.prefix[index] ?? shape.rest));
    }
    case 'object': {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
      const names = Object.keys(value);
      if (names.length < shape.minProperties || (shape.maxProperties !== null && names.length > shape.maxProperties)) return false;
      if ([...shape.required].some((name) => !Object.hasOwn(value, name))) return false;
      return names.every(
        (name) => fitsString(name, shape.names) && matches((value as Record<string, unknown>)[name], sourcesOf(shape, name)),
      );
    }
    default:
      return shape satisfies never;
  }
}

function isInRange(value: number, { isInteger, min, max, divisors, excluded }: Shape & { type: 'number' }): boolean {
  if (isInteger && !Number.isInteger(value)) return false;
  if (min && (min.isExclusive ? value <= min.value : value < min.value)) return false;
  if (max && (max.isExclusive ? value >= max.value : value > max.value)) return false;
  return divisors.every((divisor) => value % divisor === 0) && !excluded.includes(value);
}

interface Reader {
  shapes(sources: Sources): readonly Shape[];
  isMember(value: unknown, sources: Sources): boolean;
}

const MAX_DEPTH = 3;

/** True only when it is certain that no value has both; objects are taken as they would be written. */
export function areDisjoint(a: Shape, b: Shape, reader: Reader, depth = 0): boolean {
  if (a.type === 'literals') return ![...a.values.values()].some((value) => isMember(value, b, reader.isMember));
  if (b.type === 'literals') return areDisjoint(b, a, reader, depth);
  if (a.type === 'number' && b.type === 'number') return isBelow(a, b) || isBelow(b, a);
  if (a.type === 'string' && b.type === 'string') return isEmpty(bothOf(languageOfShape(a), languageOfShape(b)));
  if (a.type === 'object' && b.type === 'object') return areObjectsDisjoint(a, b, reader, depth);
  if (a.type === 'array' && b.type === 'array') {
    return (a.maxItems !== null && a.maxItems < b.minItems) || (b.maxItems !== null && b.maxItems < a.minItems);
  }
  return true;
}

function isBelow(a: Shape & { type: 'number' }, b: Shape & { type: 'number' }): boolean {
  if (!a.max || !b.min) return false;
  return a.max.value < b.min.value || (a.max.value === b.min.value && (a.max.isExclusive || b.min.isExclusive));
}

function areObjectsDisjoint(a: ObjectShape, b: ObjectShape, reader: Reader, depth: number): boolean {
  if ([...a.required].some((name) => !mayHave(b, name)) && [...b.required].some((name) => !mayHave(a, name))) return true;
  if ([...a.required].some((name) => isForbidden(b, name)) || [...b.required].some((name) => isForbidden(a, name))) return true;
  if (depth >= MAX_DEPTH) return false;
  return [...a.required].some((name) => {
    if (!b.required.has(name)) return false;
    const [left, right] = [reader.shapes(sourcesOf(a, name)), reader.shapes(sourcesOf(b, name))];
    return left.every((x) => right.every((y) => areDisjoint(x, y, reader, depth + 1)));
  });
}

/** A schema that names its properties and says nothing of others gets no others. */
const mayHave = (shape: ObjectShape, name: string): boolean =>
  shape.properties.has(name) || shape.required.has(name) || shape.additional !== null || shape.patterns.length > 0 || !isClosed(shape);

const isForbidden = (shape: ObjectShape, name: string): boolean => sourcesOf(shape, name).some(({ schema }) => schema === false);

/** Whether only named properties are written. */
export const isClosed = (shape: ObjectShape): boolean =>
  shape.additional === null && (shape.isClosed || shape.properties.size > 0 || shape.patterns.length > 0);
