/**
 * What a JSON schema says, once its references and combinators are resolved one level deep: a union of shapes, each for one type of
 * JSON value. Values inside objects and arrays stay schemas, as lists that must hold together (Sources), so that recursion ends.
 */
import type { NumberRange } from './numbers.ts';
import type { RegexNode } from './regex-node.ts';
import type { StringShape } from './string-language.ts';

/** A schema and where it stands, e.g. `$.properties.a`. One object per place: sources are compared by identity. */
export interface Source {
  readonly id: number;
  readonly schema: unknown;
  readonly path: string;
}

/** All must hold; none = any value. */
export type Sources = readonly Source[];

export type Shape =
  /** These values, by canonical JSON. */
  | { readonly type: 'literals'; readonly values: ReadonlyMap<string, unknown> }
  | ({ readonly type: 'number'; readonly divisors: readonly number[]; readonly excluded: readonly number[] } & NumberRange)
  | ({ readonly type: 'string' } & StringShape)
  | ArrayShape
  | ObjectShape;

export interface ArrayShape {
  readonly type: 'array';
  readonly prefix: readonly Sources[];
  /** Of the items behind the prefix. */
  readonly rest: Sources;
  readonly minItems: number;
  readonly maxItems: number | null;
  /** At least `min` items match. */
  readonly contains: readonly { readonly sources: Sources; readonly min: number; readonly path: string }[];
  /** Where "uniqueItems" stands; null = items may repeat. */
  readonly uniqueAt: string | null;
}

export interface ObjectShape {
  readonly type: 'object';
  /** In the order of the schema. */
  readonly properties: ReadonlyMap<string, Sources>;
  readonly required: ReadonlySet<string>;
  readonly patterns: readonly { readonly every: readonly RegexNode[]; readonly none: readonly RegexNode[]; readonly sources: Sources }[];
  /** Of the other properties. Null = the schema does not say: none where it names properties, any where it names none. */
  readonly additional: Sources | null;
  readonly isClosed: boolean;
  /** What names must be. */
  readonly names: StringShape;
  readonly minProperties: number;
  readonly maxProperties: number | null;
  /** For messages. */
  readonly path: string;
}

/** JSON text that is equal for equal values: the order of properties does not matter. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}
