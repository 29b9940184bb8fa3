/** The zod schema of a request body as JSON Schema: what a client may send, not what the handler gets. */
import { z } from 'zod';

export type JsonSchema = { [keyword: string]: unknown };

/** @param fields schemas for fields that accept more than zod can say, by name. */
export function requestSchema(schema: z.ZodType, fields: Readonly<Record<string, JsonSchema>> = {}): JsonSchema {
  const { $schema, ...document } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', override: correct }) as JsonSchema;
  const properties = document.properties as Record<string, JsonSchema>;
  for (const [name, given] of Object.entries(fields)) {
    if (!(name in properties)) continue;
    const { default: fallback, description } = properties[name] ?? {};
    properties[name] = {
      ...given,
      ...(fallback !== undefined && { default: fallback }),
      ...(description !== undefined && { description }),
    };
  }
  return document;
}

type Override = NonNullable<z.core.ToJSONSchemaParams['override']>;
type Definition = z.core.$ZodTypes['_zod']['def'];

/** Says what zod leaves out for values that are checked by hand before a schema, or changed after it. */
const correct: Override = ({ zodSchema, jsonSchema }) => {
  const definition = definitionOf(zodSchema);
  if (definition.type === 'default') {
    // A value may be changed after its default was filled in; clients leave the field out all the same.
    jsonSchema.default = structuredClone(definition.defaultValue) as never;
  } else if (
    definition.type === 'pipe' &&
    definitionOf(definition.in).type === 'unknown' &&
    definitionOf(definition.out).type !== 'transform'
  ) {
    Object.assign(jsonSchema, requestSchema(definition.out as z.ZodType));
  }
};

function definitionOf(schema: z.core.$ZodType): Definition {
  return schema._zod.def as Definition;
}
