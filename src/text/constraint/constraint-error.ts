/** What a request asks its output to match cannot be had. Becomes an invalid_request that names the request field (constraint-format.ts). */
export class ConstraintError extends Error {
  override readonly name = 'ConstraintError';
}

/** `keyword` of the schema at `path` (`$.properties.a`) would not be enforced; `why` completes the sentence. */
export function unsupported(keyword: string, path: string, why = 'is not supported'): ConstraintError {
  return new ConstraintError(`Schema keyword "${keyword}" at ${path} ${why}.`);
}
