/** Ajv with its formats: the independent judge of JSON documents. */
import { createRequire } from 'node:module';

type AjvClass = new (options: object) => { compile(schema: unknown): (value: unknown) => boolean };

// The packages are CommonJS whose types describe a default export.
const require = createRequire(import.meta.url);
const { default: Ajv2020 } = require('ajv/dist/2020') as { default: AjvClass };
const { default: Ajv7 } = require('ajv') as { default: AjvClass };
const { default: addFormats } = require('ajv-formats') as { default: (ajv: object) => void };

export const DRAFT_7 = 'http://json-schema.org/draft-07/schema#';

/** Draft 2020-12, unless its `$schema` is DRAFT_7. @throws Error for a schema that is none. */
export function jsonValidator(schema: unknown): (value: unknown) => boolean {
  const isOld = typeof schema === 'object' && schema !== null && '$schema' in schema && schema.$schema === DRAFT_7;
  const ajv = new (isOld ? Ajv7 : Ajv2020)({ strict: false });
  addFormats(ajv);
  return ajv.compile(schema);
}
