/** FastDeploy's `suffix` of text completions: not OpenAI's text after the insertion, but an object of further parameters. */
import { FieldError } from './error-reply.ts';
import { withoutNulls } from './request-body.ts';

type Fields = Readonly<Record<string, unknown>>;

/** The body with the parameters of `suffix` below its own fields. @throws FieldError when `suffix` is a text. */
export function withSuffixParameters({ suffix, ...fields }: Fields): Fields {
  if (suffix === undefined || suffix === '') return fields;
  if (typeof suffix !== 'object' || suffix === null || Array.isArray(suffix)) {
    const message = 'Input should be a valid dictionary: `suffix` holds further parameters, text cannot be inserted before one.';
    throw new FieldError('invalid_value', message, { param: 'suffix' });
  }
  return { ...withoutNulls(suffix as Fields), ...fields };
}
