/** One sequence could not go on; the others of its step did. */
export class SequenceError extends Error {
  override readonly name = 'SequenceError';
  readonly stepId: number;
  readonly key: string;
  readonly choice: number;

  constructor(what: string, where: { readonly stepId: number; readonly key: string; readonly choice: number }, cause?: unknown) {
    super(`Step ${where.stepId}, request ${where.key}, choice ${where.choice}: ${what}`, cause === undefined ? undefined : { cause });
    this.stepId = where.stepId;
    this.key = where.key;
    this.choice = where.choice;
  }
}
