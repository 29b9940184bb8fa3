/** Ajv with its formats: the independent judge of JSON documents. */
import { createRequire } from 'node:module';

// Both packages are CommonJS whose types describe a default export.
const require = createRequire(import.meta.url);
const { default: Ajv } = require('ajv/dist/2020') as {
  default: new (options: object) => { compile(schema: unknown): (value: unknown) => boolean };
};
const { default: addFormats } = require('ajv-formats') as { default: (ajv: object) => void };

/** @throws Error for a schema that is none. */
export function jsonValidator(schema: unknown): (value: unknown) => boolean {
  const ajv = new Ajv({ strict: false });
  addFormats(ajv);
  return ajv.compile(schema);
}
