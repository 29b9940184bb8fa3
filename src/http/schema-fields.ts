/** The kinds of value that request fields have. Messages are pydantic's, which FastDeploy's clients know. */
import { z } from 'zod';

export const FIELD_REQUIRED = 'Field required';
const MAX_TOKEN_ID = 2 ** 31 - 1;

export const text = z.string('Input should be a valid string');
export const flag = z.boolean('Input should be a valid boolean');
export const dictionary = z.record(z.string(), z.unknown(), 'Input should be a valid dictionary');

/** A finite number in [min, max]; booleans and numeric strings are not numbers. */
export function number({ min, max, above }: { readonly min?: number; readonly max?: number; readonly above?: number } = {}) {
  return z
    .unknown()
    .transform((value, context): number => {
      const problem = numberProblem(value) ?? rangeProblem(value as number, min, max, above);
      if (problem) context.addIssue({ code: 'custom', message: problem });
      return value as number;
    })
    .meta({ type: 'number', ...range(min, max), ...(above !== undefined && { exclusiveMinimum: above }) });
}

export function integer({ min, max }: { readonly min?: number; readonly max?: number } = {}) {
  return z
    .unknown()
    .transform((value, context): number => {
      const problem = integerProblem(value) ?? rangeProblem(value as number, min, max);
      if (problem) context.addIssue({ code: 'custom', message: problem });
      return value as number;
    })
    .meta({ type: 'integer', ...range(min, max) });
}

/** The bounds as /openapi.json tells them: these fields are checked by hand, for the words of their messages. */
function range(min?: number, max?: number) {
  return { ...(min !== undefined && { minimum: min }), ...(max !== undefined && { maximum: max }) };
}

/** A list of at most `max` items, counted before any of them is looked at. */
export function atMost<Schema extends z.ZodType>(max: number, schema: Schema) {
  return z
    .unknown()
    .superRefine((value, context) => {
      if (!Array.isArray(value) || value.length <= max) return;
      context.addIssue({
        code: 'custom',
        message: `List should have at most ${max} items after validation, not ${value.length}`,
        continue: false,
      });
    })
    .pipe(schema as unknown as z.ZodType<z.output<Schema>, unknown>)
    .meta({ maxItems: max });
}

export const textList = z.array(text, 'Input should be a valid list');

/** Checked in one loop: a prompt may have a hundred thousand ids. */
export const tokenIds = z
  .unknown()
  .transform((value, context): readonly number[] => {
    if (!Array.isArray(value)) context.addIssue({ code: 'custom', message: 'Input should be a valid list' });
    else {
      const wrong = value.findIndex((id) => tokenIdProblem(id) !== null);
      if (wrong >= 0) context.addIssue({ code: 'custom', path: [wrong], message: tokenIdProblem(value[wrong]) as string });
    }
    return value as readonly number[];
  })
  .meta({ type: 'array', items: { type: 'integer', ...range(0, MAX_TOKEN_ID) } });

/** Null when the value is a token id. Whether the model has it is the frontend's to say. */
export function tokenIdProblem(value: unknown): string | null {
  return integerProblem(value) ?? rangeProblem(value as number, 0, MAX_TOKEN_ID);
}

function integerProblem(value: unknown): string | null {
  if (typeof value !== 'number') return 'Input should be a valid integer';
  if (!Number.isFinite(value)) return 'Input should be a finite number';
  return Number.isInteger(value) ? null : 'Input should be a valid integer, got a number with a fractional part';
}

function numberProblem(value: unknown): string | null {
  if (typeof value !== 'number') return 'Input should be a valid number';
  return Number.isFinite(value) ? null : 'Input should be a finite number';
}

function rangeProblem(value: number, min?: number, max?: number, above?: number): string | null {
  if (above !== undefined && value <= above) return `Input should be greater than ${above}`;
  if (min !== undefined && value < min) return `Input should be greater than or equal to ${min}`;
  if (max !== undefined && value > max) return `Input should be less than or equal to ${max}`;
  return null;
}
