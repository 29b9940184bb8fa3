/**
 * A JSON schema as EBNF that matches only valid documents (docs/structured-output.md has what each keyword becomes). One rule per set of
 * schemas that must hold together; so recursive schemas end, and no stack grows with the schema.
 *
 * White space: nothing but at most one space behind `:` and `,`, so that no model can lose itself in it.
 */
import { arrayBody, canBeArray } from './array-grammar.ts';
import { type Automaton, automatonOf, differenceOf, isEmpty } from './automaton.ts';
import { ConstraintError } from './constraint-error.ts';
import { type EbnfWriter, literal } from './ebnf.ts';
import { COLON, COMMA, type Values } from './json-values.ts';
import { multiplesOf, numberText } from './numbers.ts';
import { canBeObject, objectBody } from './object-grammar.ts';
import { alt, concat, lengthsOf, optional, type RegexNode, repeat, text } from './regex-node.ts';
import { joinedSources, sourcesOf } from './schema-intersection.ts';
import { checkSize } from './schema-keywords.ts';
import { SchemaReader } from './schema-reader.ts';
import type { Shape, Sources } from './schema-shape.ts';
import { automatonText, bareText, isImpossibleString, jsonString } from './string-language.ts';

const MAX_RULES = 3_000;

/** @returns an expression for documents that match `schema`. @throws ConstraintError */
export function schemaExpression(schema: unknown, writer: EbnfWriter): string {
  checkSize(schema);
  const reader = new SchemaReader(schema);
  return new SchemaGrammar(reader, writer).expression([reader.root]);
}

class SchemaGrammar implements Values {
  readonly #reader: SchemaReader;
  readonly #writer: EbnfWriter;
  readonly #nodes = new Map<string, { readonly name: string; readonly sources: Sources; shapes: readonly Shape[]; isPossible: boolean }>();

  constructor(reader: SchemaReader, writer: EbnfWriter) {
    this.#reader = reader;
    this.#writer = writer;
  }

  expression(root: Sources): string {
    const start = this.#node(root);
    // Nodes are added while their parents are visited.
    for (const node of this.#nodes.values()) {
      node.shapes = this.#reader.shapes(node.sources).filter((shape) => !isImpossibleLeaf(shape));
      for (const shape of node.shapes) for (const sources of partsOf(shape)) this.#node(sources);
    }
    this.#findPossible();
    if (!start.isPossible) throw new ConstraintError('No JSON document can match the schema');
    for (const node of this.#nodes.values()) {
      if (!node.isPossible) continue;
      const bodies = node.shapes.filter((shape) => this.#canBe(shape)).map((shape) => this.#body(shape));
      this.#writer.define(node.name, bodies.join(' | '));
    }
    return start.name;
  }

  rule(sources: Sources): string {
    return this.#node(sources).name;
  }

  isPossible = (sources: Sources): boolean => this.#node(sources).isPossible;

  shapes(sources: Sources): readonly Shape[] {
    return this.#node(sources).shapes;
  }

  #node(sources: Sources) {
    const key = sources
      .map(({ id }) => id)
      .sort((a, b) => a - b)
      .join();
    const known = this.#nodes.get(key);
    if (known) return known;
    if (this.#nodes.size >= MAX_RULES) throw new ConstraintError(`The schema combines into more than ${MAX_RULES} rules`);
    const node = { name: this.#writer.newName('json'), sources, shapes: [] as readonly Shape[], isPossible: false };
    this.#nodes.set(key, node);
    return node;
  }

  /** Some documents would never end: an object that needs itself inside. Whatever ends is found from the leaves. */
  #findPossible(): void {
    for (let hasChanged = true; hasChanged; ) {
      hasChanged = false;
      for (const node of this.#nodes.values()) {
        if (node.isPossible || !node.shapes.some((shape) => this.#canBe(shape))) continue;
        node.isPossible = true;
        hasChanged = true;
      }
    }
  }

  #canBe(shape: Shape): boolean {
    if (shape.type === 'array') return canBeArray(shape, this);
    if (shape.type === 'object') return canBeObject(shape, this);
    return true;
  }

  #body(shape: Shape): string {
    switch (shape.type) {
      case 'literals':
        return [...shape.values.values()].map(jsonValue).join(' | ');
      case 'number':
        return numberBody(shape, this.#writer);
      case 'string':
        return jsonString(shape, this.#writer);
      case 'array':
        return arrayBody(shape, this, this.#writer);
      case 'object':
        return objectBody(shape, this, this.#writer);
      default:
        return shape satisfies never;
    }
  }
}

function partsOf(shape: Shape): readonly Sources[] {
  if (shape.type === 'array') {
    const places = [...shape.prefix, shape.rest];
    return [...places, ...shape.contains.flatMap(({ sources }) => places.map((place) => joinedSources(place, sources)))];
  }
  if (shape.type !== 'object') return [];
  const undeclared = [...shape.required].filter((name) => !shape.properties.has(name)).map((name) => sourcesOf(shape, name));
  return [...shape.properties.values(), ...undeclared, ...shape.patterns.map(({ sources }) => sources), shape.additional ?? []];
}

function isImpossibleLeaf(shape: Shape): boolean {
  if (shape.type === 'literals') return shape.values.size === 0;
  if (shape.type === 'number') return numbersOf(shape) === null;
  return shape.type === 'string' && isImpossibleString(shape);
}

/** Null when there is no such number. */
function numbersOf(shape: Shape & { type: 'number' }): RegexNode | Automaton | null {
  const made = numbers.get(shape);
  if (made !== undefined) return made;
  const found = foundNumbers(shape);
  numbers.set(shape, found);
  return found;
}

const numbers = new WeakMap<Shape, RegexNode | Automaton | null>();

function foundNumbers(shape: Shape & { type: 'number' }): RegexNode | Automaton | null {
  const numbers = numberText(shape);
  if (lengthsOf(numbers).min === Number.POSITIVE_INFINITY) return null;
  if (shape.divisors.length === 0 && shape.excluded.length === 0) return numbers;
  const [first, ...others] = shape.divisors.map((divisor) => multiplesOf(divisor, numbers));
  if (others.length > 0) throw new ConstraintError('"multipleOf" with two different divisors is not supported');
  const spelled = shape.excluded.map(spellings);
  const left = spelled.reduce((language, node) => differenceOf(language, automatonOf(node)), first ?? automatonOf(withoutExponent(shape)));
  return isEmpty(left) ? null : left;
}

/** Excluded numbers are told by their digits, which an exponent would hide. */
const withoutExponent = (shape: Shape & { type: 'number' }) =>
  shape.min || shape.max || shape.isInteger ? numberText(shape) : numberText({ ...shape, max: { value: 1e15, isExclusive: true } });

/** Every way to write the number without an exponent. */
function spellings(value: number) {
  const digits = text(String(value));
  const zeros = repeat(text('0'), 1, null);
  const point = String(value).includes('.') ? repeat(text('0'), 0, null) : optional(concat(text('.'), zeros));
  return value === 0 ? concat(optional(text('-')), digits, point) : alt(concat(digits, point));
}

function numberBody(shape: Shape & { type: 'number' }, writer: EbnfWriter): string {
  const numbers = numbersOf(shape)!;
  return 'states' in numbers ? automatonText(numbers, writer) : bareText(numbers, writer);
}

/** A known value, with the same freedom of white space as all others. */
function jsonValue(value: unknown): string {
  if (Array.isArray(value)) return joinedParts('[', value.map(jsonValue), ']');
  if (typeof value !== 'object' || value === null) return literal(JSON.stringify(value));
  const pairs = Object.entries(value).map(([name, inner]) => `${literal(JSON.stringify(name))} ${COLON} ${jsonValue(inner)}`);
  return joinedParts('{', pairs, '}');
}

const joinedParts = (open: string, parts: readonly string[], close: string): string =>
  [literal(open), ...parts.flatMap((part, index) => (index === 0 ? [part] : [COMMA, part])), literal(close)].join(' ');
