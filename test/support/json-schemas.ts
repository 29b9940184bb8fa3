/** Random JSON schemas of the kinds that people and their libraries write, all of them within what troupe enforces. */
import type { Random } from './seeded-random.ts';

type Schema = Readonly<Record<string, unknown>>;

const NAMES = ['name', 'age', 'city', 'tags', 'price', 'id', 'kind', 'items', 'note', 'größe', 'is_ok', 'date of birth', 'a.b', '日本'];
const WORDS = ['red', 'green', 'blue', 'a "quoted" word', 'größer', '日本', '', 'back\\slash', 'two\nlines'];
const PATTERNS = [
  '^[a-z]{2,8}$',
  '^[A-Z][a-z]+( [A-Z][a-z]+){0,2}$',
  '^\\d{3}-\\d{4}$',
  '^(?!x)[a-z]{1,5}$',
  'ab|cd',
  '^#[0-9a-f]{6}$',
  '^[一-三]{1,3}$',
  '^.{1,6}$',
];
const FORMATS = ['date', 'time', 'date-time', 'email', 'uuid', 'ipv4', 'ipv6', 'hostname', 'uri', 'duration'];

/** @returns a schema for a whole document. Its size is bounded, so that most documents are short. */
export function randomSchema(random: Random): Schema {
  const writer = new SchemaWriter(random);
  const root = random.below(10) < 8 ? writer.object(3) : writer.any(3);
  return { ...root, ...(writer.numDefinitions > 0 && { $defs: writer.definitions }) };
}

class SchemaWriter {
  readonly definitions: Record<string, Schema> = {};
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  get numDefinitions(): number {
    return Object.keys(this.definitions).length;
  }

  any(depth: number): Schema {
    const leaves = [
      () => this.string(),
      () => this.string(),
      () => this.#integer(),
      () => this.#number(),
      () => this.#values(),
      () => this.#flag(),
    ];
    const inner = [() => this.object(depth - 1), () => this.array(depth - 1), () => this.#union(depth - 1), () => this.#reference()];
    const schema = this.#pick(depth > 0 ? [...leaves, ...inner, ...inner] : leaves)();
    return this.#chance(5) ? { title: 'A title', description: 'What it is.', ...schema } : schema;
  }

  object(depth: number): Schema {
    const names = this.#sample(NAMES, this.#random.below(4) + (depth > 2 ? 1 : 0));
    const properties = Object.fromEntries(names.map((name) => [name, this.any(depth)]));
    const required = names.filter(() => !this.#chance(3));
    const schema: Record<string, unknown> = { type: 'object', properties, required };
    if (names.length === 0) return { type: 'object', additionalProperties: this.any(0), maxProperties: 2 };
    const kind = this.#random.below(10);
    if (kind < 4) schema.additionalProperties = false;
    if (kind === 4) Object.assign(schema, { additionalProperties: this.any(0), maxProperties: names.length + 1 });
    if (kind === 5)
      Object.assign(schema, {
        patternProperties: { '^x_[a-z]{1,3}$': this.#integer() },
        additionalProperties: false,
        maxProperties: names.length + 1,
      });
    if (kind === 6) schema.minProperties = 1;
    if (kind === 7 && names.length > 1) schema.dependentRequired = { [names[0]!]: [names[1]!] };
    if (kind === 8) return { allOf: [schema, { type: 'object', properties: { extra: this.#integer() }, required: ['extra'] }] };
    return schema;
  }

  array(depth: number): Schema {
    const minItems = this.#random.below(3);
    const bounds = { ...(minItems > 0 && { minItems }), maxItems: minItems + this.#random.below(3) };
    switch (this.#random.below(6)) {
      case 0:
        return { type: 'array', prefixItems: [this.any(depth), this.any(0)], items: false, minItems: 2 };
      case 1:
        return { type: 'array', items: { enum: ['a', 'b', 'c', 'd'] }, uniqueItems: true };
      case 2:
        return { type: 'array', items: { type: 'integer', minimum: 0, maximum: 9 }, contains: { const: 7 }, maxItems: 4 };
      default:
        return { type: 'array', items: this.any(depth), ...bounds };
    }
  }

  string(): Schema {
    const minLength = this.#random.below(4);
    switch (this.#random.below(6)) {
      case 0:
        return { type: 'string', format: this.#pick(FORMATS) };
      case 1:
        return { type: 'string', pattern: this.#pick(PATTERNS) };
      case 2:
        return { type: 'string', minLength, maxLength: minLength + this.#random.below(90) };
      case 3:
        return { type: 'string', pattern: '^[a-z ]+$', maxLength: 3 + this.#random.below(20) };
      case 4:
        return { type: 'string', maxLength: 20, ...(this.#chance(2) && { default: 'x' }) };
      default:
        return { type: 'string' };
    }
  }

  #integer(): Schema {
    const minimum = this.#random.below(2000) - 1000;
    switch (this.#random.below(6)) {
      case 0:
        return { type: 'integer' };
      case 1:
        return { type: 'integer', minimum };
      case 2:
        return { type: 'integer', exclusiveMinimum: minimum, exclusiveMaximum: minimum + 2 + this.#random.below(500) };
      case 3:
        return { type: 'integer', minimum: 0, multipleOf: this.#pick([2, 5, 10, 12]) };
      case 4:
        return { type: 'integer', maximum: minimum };
      default:
        return { type: 'integer', minimum, maximum: minimum + this.#random.below(500) };
    }
  }

  #number(): Schema {
    const minimum = (this.#random.below(4000) - 2000) / 8;
    switch (this.#random.below(5)) {
      case 0:
        return { type: 'number' };
      case 1:
        return { type: 'number', exclusiveMinimum: 0, maximum: 1 };
      case 2:
        return { type: 'number', minimum, exclusiveMaximum: minimum + 0.25 + this.#random.below(100) };
      case 3:
        return { type: 'number', maximum: minimum };
      default:
        return { type: 'number', minimum };
    }
  }

  #values(): Schema {
    const listed: readonly unknown[] = this.#chance(2)
      ? this.#sample(WORDS, 1 + this.#random.below(4))
      : [1, 'one', null, true, 1.5, { a: [1, 'x'] }];
    if (this.#chance(4)) return { const: this.#pick(listed) };
    return { enum: listed };
  }

  #flag(): Schema {
    return this.#pick<Schema>([
      { type: 'boolean' },
      { type: 'null' },
      { type: ['boolean', 'null'] },
      { type: ['integer', 'string', 'null'], maxLength: 8 },
    ]);
  }

  #union(depth: number): Schema {
    switch (this.#random.below(4)) {
      case 0:
        return { anyOf: [this.any(depth), { type: 'null' }] };
      case 1:
        return {
          oneOf: ['cat', 'dog'].map((kind) => ({
            type: 'object',
            properties: { kind: { const: kind }, [kind]: this.any(0) },
            required: ['kind'],
            additionalProperties: false,
          })),
        };
      case 2:
        return {
          type: 'object',
          properties: { kind: { enum: ['a', 'b'] }, value: { type: 'integer' } },
          required: ['kind'],
          if: { properties: { kind: { const: 'a' } }, required: ['kind'] },
          // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
          then: { required: ['value'] },
        };
      default:
        return { anyOf: [this.any(depth), this.any(0)] };
    }
  }

  #reference(): Schema {
    const name = this.#random.below(12) === 0 ? 'node' : this.#pick(['point', 'label', 'place']);
    if (!(name in this.definitions)) {
      this.definitions[name] = { type: 'integer' };
      this.definitions[name] =
        name === 'node'
          ? {
              type: 'object',
              properties: { value: this.#integer(), next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } },
              required: ['value', 'next'],
            }
          : this.object(0);
    }
    return { $ref: `#/$defs/${name}` };
  }

  #chance(oneIn: number): boolean {
    return this.#random.below(oneIn) === 0;
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random.below(from.length)]!;
  }

  #sample<T>(from: readonly T[], count: number): T[] {
    const left = [...from];
    return Array.from({ length: Math.min(count, left.length) }, () => left.splice(this.#random.below(left.length), 1)[0]!);
  }
}
