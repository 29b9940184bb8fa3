/**
 * Objects as grammar: the named properties in the order of the schema, then free ones. A state is the next named property, whether a
 * comma is needed, and (only where the schema counts) how many properties there are.
 */
import { unsupported } from './constraint-error.ts';
import { type EbnfWriter, literal } from './ebnf.ts';
import { COLON, COMMA, type Values } from './json-values.ts';
import { ANY_TEXT, alt, concat, type RegexNode, text } from './regex-node.ts';
import { isClosed } from './schema-facts.ts';
import { sourcesOf } from './schema-intersection.ts';
import type { ObjectShape, Sources } from './schema-shape.ts';
import { fitsString, isImpossibleString, jsonString, type StringShape } from './string-language.ts';

interface Property {
  readonly name: string;
  readonly sources: Sources;
  readonly isRequired: boolean;
}

/** Those that can be written at all. */
function propertiesOf(shape: ObjectShape, values: Values): readonly Property[] {
  const names = [...shape.properties.keys(), ...[...shape.required].filter((name) => !shape.properties.has(name))];
  return names
    .map((name) => ({ name, sources: sourcesOf(shape, name), isRequired: shape.required.has(name) }))
    .filter(({ name, sources }) => fitsString(name, shape.names) && values.isPossible(sources));
}

const mayHaveFree = (shape: ObjectShape, values: Values): boolean =>
  shape.patterns.some(({ sources }) => values.isPossible(sources)) || (!isClosed(shape) && values.isPossible(shape.additional ?? []));

export function canBeObject(shape: ObjectShape, values: Values): boolean {
  const properties = propertiesOf(shape, values);
  const numRequired = properties.filter(({ isRequired }) => isRequired).length;
  if (numRequired < shape.required.size) return false;
  if (shape.maxProperties !== null && numRequired > shape.maxProperties) return false;
  return properties.length >= shape.minProperties || mayHaveFree(shape, values);
}

const MAX_STATES = 3_000;

export function objectBody(shape: ObjectShape, values: Values, writer: EbnfWriter): string {
  const properties = propertiesOf(shape, values);
  const free = mayHaveFree(shape, values) ? freePairs(shape, values, writer) : [];
  const { minProperties, maxProperties } = shape;
  // Two free properties may have the same name: they count as one.
  if (minProperties > properties.length + (free.length > 0 ? 1 : 0)) {
    throw unsupported('minProperties', shape.path, 'is not supported for more properties than are named, plus one');
  }
  const isCounted =
    minProperties > numRequired(properties) || (maxProperties !== null && (free.length > 0 || maxProperties < properties.length));
  const numStates = isCounted ? (properties.length + 1) * ((maxProperties ?? minProperties) + 1) : properties.length + 1;
  if (numStates > MAX_STATES) throw unsupported(maxProperties === null ? 'minProperties' : 'maxProperties', shape.path, 'is too large');
  const body = new Body(properties, free, isCounted ? { min: minProperties, max: maxProperties } : null, values, writer);
  return `"{" ${body.whole()}`;
}

const numRequired = (properties: readonly Property[]): number => properties.filter(({ isRequired }) => isRequired).length;

interface Written {
  readonly hasAny: boolean;
  /** Named ones, and the first free one; 0 where nothing counts. */
  readonly count: number;
}

class Body {
  readonly #rules = new Map<string, string | null>();
  readonly #pairs: readonly string[];
  readonly #properties: readonly Property[];
  readonly #free: readonly string[];
  readonly #counts: { readonly min: number; readonly max: number | null } | null;
  readonly #writer: EbnfWriter;
  /** Required properties from this index on. */
  readonly #numRequiredFrom: readonly number[];

  constructor(
    properties: readonly Property[],
    free: readonly string[],
    counts: { readonly min: number; readonly max: number | null } | null,
    values: Values,
    writer: EbnfWriter,
  ) {
    this.#properties = properties;
    this.#free = free;
    this.#counts = counts;
    this.#writer = writer;
    this.#pairs = properties.map(({ name, sources }) => `${literal(JSON.stringify(name))} ${COLON} ${values.rule(sources)}`);
    this.#numRequiredFrom = properties.map((_, index) => numRequired(properties.slice(index))).concat(0);
  }

  /** What may follow when properties before `index` are decided; null = nothing that ends well. Filled from the end: no deep recursion. */
  whole(): string {
    const last = this.#properties.length;
    const most = this.#counts === null ? 0 : last + 1;
    for (let index = last; index >= 0; index--) {
      for (let count = this.#counts === null ? 0 : Math.min(index, most); count >= 0; count--) {
        for (const hasAny of [true, false]) {
          if (this.#counts !== null && hasAny !== count > 0) continue;
          this.#fill(index, { hasAny, count });
        }
      }
    }
    return this.#rules.get(keyOf(0, { hasAny: false, count: 0 }))!;
  }

  #fill(index: number, written: Written): void {
    this.#rules.set(keyOf(index, written), index === this.#properties.length ? this.#end(written) : this.#property(index, written));
  }

  #property(index: number, written: Written): string | null {
    const { isRequired } = this.#properties[index]!;
    const added: Written = { ...written, hasAny: true, count: this.#counts === null ? 0 : written.count + 1 };
    const isTooMany = this.#counts?.max != null && added.count + this.#numRequiredFrom[index + 1]! > this.#counts.max;
    const withIt = isTooMany ? null : (this.#rules.get(keyOf(index + 1, added)) ?? null);
    const withoutIt = isRequired ? null : (this.#rules.get(keyOf(index + 1, written)) ?? null);
    const pair = withIt === null ? null : `${written.hasAny ? `${COMMA} ` : ''}${this.#pairs[index]} ${withIt}`;
    if (pair === null) return withoutIt;
    if (isRequired) return this.#free.length === 0 && pair.length < 2_000 ? pair : this.#writer.rule('object', pair);
    return this.#writer.rule('object', withoutIt === null ? pair : `${pair} | ${withoutIt}`);
  }

  /** Behind the named properties. */
  #end({ hasAny, count }: Written): string | null {
    const { min, max } = this.#counts ?? { min: 0, max: null };
    if (max !== null && count > max) return null;
    const pairs = this.#free.join(' | ');
    const room = max === null ? null : max - count;
    const canStop = count >= min;
    if (this.#free.length === 0 || room === 0) return canStop ? '"}"' : null;
    if (!canStop && count + 1 < min) return null;
    const pair = this.#writer.rule('pair', pairs);
    const more = room === null ? `(${COMMA} ${pair})*` : room > 1 ? `(${COMMA} ${pair}){0,${room - 1}}` : '';
    const first = `${hasAny ? `${COMMA} ` : ''}${pair} ${more} "}"`;
    return this.#writer.rule('object', canStop ? `"}" | ${first}` : first);
  }
}

const keyOf = (index: number, { hasAny, count }: Written): string => `${index} ${hasAny} ${count}`;

/** Pairs whose names no property has: one expression per pattern, and one for all other names. */
function freePairs(shape: ObjectShape, values: Values, writer: EbnfWriter): string[] {
  const taken = takenNames([...new Set([...shape.properties.keys(), ...shape.required])]);
  const pairs: string[] = [];
  const others: RegexNode[] = [];
  for (const { every, none, sources } of shape.patterns) {
    if (others.length > 0 || !isClosed(shape)) {
      if (none.length > 0 || every.length !== 1)
        throw unsupported('patternProperties', shape.path, 'is not supported with look-aheads beside other properties');
    }
    const names = { ...shape.names, every: [...shape.names.every, ...every], none: [...shape.names.none, ...none, ...others, ...taken] };
    others.push(...every);
    if (values.isPossible(sources)) addPair(pairs, names, sources, values, writer);
  }
  if (!isClosed(shape) && values.isPossible(shape.additional ?? [])) {
    const names = { ...shape.names, none: [...shape.names.none, ...others, ...taken] };
    addPair(pairs, names, shape.additional ?? [], values, writer);
  }
  return pairs;
}

function addPair(pairs: string[], names: StringShape, sources: Sources, values: Values, writer: EbnfWriter): void {
  if (!isImpossibleString(names)) pairs.push(`${jsonString(names, writer)} ${COLON} ${values.rule(sources)}`);
}

const MAX_TRIE = 64;

/** Names that free properties must not have. Of very many, only the beginnings are told apart: some free names are lost then. */
function takenNames(names: readonly string[]): readonly RegexNode[] {
  if (names.length === 0) return [];
  for (let length = Math.max(...names.map((name) => name.length)); length > 0; length--) {
    const prefixes = new Set(names.map((name) => name.slice(0, length)));
    const isSmall = [...prefixes].reduce((sum, prefix) => sum + prefix.length, 0) <= MAX_TRIE;
    if (!isSmall && length > 1) continue;
    return [
      alt(
        ...[...prefixes].map((prefix) =>
          prefix.length < length || names.every((name) => name.length <= length) ? text(prefix) : concat(text(prefix), ANY_TEXT),
        ),
      ),
    ];
  }
  return [];
}
