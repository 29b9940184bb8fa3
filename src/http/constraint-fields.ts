/** What the output must match: OpenAI's `response_format`, FastDeploy's `guided_*` and vLLM's `structured_outputs`, as one ConstraintSpec. */
import { z } from 'zod';
import type { ConstraintForm, ConstraintSpec } from '../core/generation.ts';
import { FieldError } from './error-reply.ts';
import { flag, text } from './schema-fields.ts';

/** What a field asks for; `at` is its place inside the field, when the field has several. */
type Asked = { readonly at?: string } & ConstraintForm;

const nonEmpty = text.min(1, 'String should have at least 1 character');
const object = z.record(z.string(), z.unknown(), 'Input should be a valid dictionary');

/** An object, or JSON text of one. */
const parsed = z
  .union([z.string(), z.boolean(), object], 'Input should be a JSON schema: an object, or JSON text of one')
  .transform((value, context): unknown => {
    if (typeof value !== 'string') return value;
    try {
      return JSON.parse(value);
    } catch (error) {
      context.addIssue({ code: 'custom', message: `Input should be valid JSON: ${(error as SyntaxError).message}` });
      return z.NEVER;
    }
  });

const json = parsed
  .refine(
    (schema) => typeof schema === 'boolean' || (typeof schema === 'object' && schema !== null && !Array.isArray(schema)),
    'Input should be a JSON schema: an object, or JSON text of one',
  )
  .transform((schema): Asked => ({ type: 'json_schema', schema }));
const regex = nonEmpty.transform((pattern): Asked => ({ type: 'regex', pattern }));
const choice = z
  .array(nonEmpty, 'Input should be a valid list')
  .min(1, 'List should have at least 1 item after validation, not 0')
  .transform((choices): Asked => ({ type: 'choice', choices }));
const grammar = nonEmpty.transform((ebnf): Asked => ({ type: 'grammar', ebnf }));
const structuralTag = parsed
  .refine(
    (tag) => typeof tag === 'object' && tag !== null && !Array.isArray(tag),
    'Input should be a structural tag: an object, or JSON text of one',
  )
  .transform((tag): Asked => ({ type: 'structural_tag', tag }));

const FORMAT_TYPES = 'Input should be text, json_object, json_schema or structural_tag';
const hasSchema = z.looseObject(
  { schema: z.union([z.boolean(), object], 'Input should be a valid dictionary') },
  'Input should be a valid dictionary',
);

const responseFormat = z
  .discriminatedUnion(
    'type',
    [
      z.looseObject({ type: z.literal('text') }),
      // The schema beside it is what llama.cpp and others take.
      z.looseObject({ type: z.literal('json_object'), schema: object.optional() }),
      z.looseObject({ type: z.literal('json_schema'), json_schema: hasSchema }),
      z.looseObject({ type: z.literal('structural_tag') }),
    ],
    { error: (issue) => (issue.code === 'invalid_union' ? FORMAT_TYPES : 'Input should be a valid dictionary') },
  )
  .transform((format): Asked | null => {
    switch (format.type) {
      case 'text':
        return null;
      case 'json_object':
        return format.schema ? { type: 'json_schema', schema: format.schema, at: '.schema' } : { type: 'json_object' };
      case 'json_schema':
        return { type: 'json_schema', schema: format.json_schema.schema, at: '.json_schema.schema' };
      case 'structural_tag':
        return { type: 'structural_tag', tag: format };
    }
  });

const structuredOutputs = z.looseObject(
  {
    json: json.nullish(),
    regex: regex.nullish(),
    choice: choice.nullish(),
    grammar: grammar.nullish(),
    structural_tag: structuralTag.nullish(),
    json_object: flag.nullish(),
  },
  'Input should be a valid dictionary',
);

export const constraintFields = {
  response_format: responseFormat.optional(),
  guided_json: json.optional(),
  guided_regex: regex.optional(),
  guided_choice: choice.optional(),
  guided_grammar: grammar.optional(),
  structural_tag: structuralTag.optional(),
  structured_outputs: structuredOutputs.optional(),
};

type ConstraintBody = z.output<z.ZodObject<typeof constraintFields>>;

/**
 * The one constraint that the request asks for, if any.
 * @param isAvailable false with `--guided-decoding-backend off`.
 * @throws FieldError when there are several, or when the server has them off.
 */
export function constraintOf(body: ConstraintBody, isAvailable: boolean): ConstraintSpec | undefined {
  const asked = [...askedFor(body)];
  const [first, second] = asked;
  if (!first) return undefined;
  if (second) {
    const fields = asked.map(({ param }) => `'${param}'`).join(', ');
    throw new FieldError('invalid_value', `You can only use one kind of guided decoding (${fields}).`, { param: second.param });
  }
  if (!isAvailable) throw constraintsOff(first.param);
  return first;
}

/** @param param the field that needs a grammar. */
export function constraintsOff(param: string): FieldError {
  const message = 'Structured output is off: this server was started with --guided-decoding-backend off.';
  return new FieldError('unsupported_parameter', message, { param });
}

function* askedFor({ structured_outputs, ...fields }: ConstraintBody): Generator<ConstraintSpec> {
  for (const field of Object.keys(constraintFields)) {
    const asked = (fields as Record<string, Asked | null | undefined>)[field];
    if (asked) yield named(field, asked);
  }
  const { json_object, ...kinds } = structured_outputs ?? {};
  for (const [kind, asked] of Object.entries(kinds)) if (isAsked(kind, asked)) yield named(`structured_outputs.${kind}`, asked);
  if (json_object) yield { type: 'json_object', param: 'structured_outputs.json_object' };
}

/** vLLM's object has settings beside the constraint, which are let through. */
const KINDS: ReadonlySet<string> = new Set(['json', 'regex', 'choice', 'grammar', 'structural_tag']);
const isAsked = (kind: string, asked: unknown): asked is Asked => KINDS.has(kind) && asked !== null && asked !== undefined;

function named(field: string, { at = '', ...asked }: Asked): ConstraintSpec {
  return { ...asked, param: field + at };
}
