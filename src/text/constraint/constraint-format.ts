/**
 * From what a request asks of its output to the form that engines take: a node of an XGrammar structural tag. Everything that can be known
 * without compiling is checked here.
 */
import { TroupeError } from '../../core/errors.ts';
import type { ConstraintSpec } from '../../core/generation.ts';
import { ConstraintError } from './constraint-error.ts';
import { literal } from './ebnf.ts';
import { checkSize } from './schema-keywords.ts';
import { ebnfFormat, type Format, formatOfTag, grammarFormat, regexFormat, schemaFormat } from './structural-tag.ts';
import { LARGE_WORK, WorkLimitError, withWorkLimit } from './work-limit.ts';

/**
 * As a node of a structural tag.
 * @param maxWork steps that this may take (work-limit.ts): a second's worth unless said otherwise.
 * @throws TroupeError invalid_request with the request's field as `param`; WorkLimitError when less than a second's worth was too little.
 */
export function constraintFormat(spec: ConstraintSpec, maxWork = LARGE_WORK): Format {
  try {
    return withWorkLimit(maxWork, () => formatOf(spec));
  } catch (error) {
    if (error instanceof WorkLimitError && maxWork < LARGE_WORK) throw error;
    if (error instanceof ConstraintError)
      throw new TroupeError('invalid_request', sentence(error.message), { param: spec.param, cause: error });
    throw error;
  }
}

const MAX_CHARS = 256 * 1024;

/**
 * Cheap, before anything else is done with it. @throws TroupeError invalid_request: nested too deep, or too large.
 */
export function checkConstraintSize(spec: ConstraintSpec): void {
  const refused = (message: string) => new TroupeError('invalid_request', message, { param: spec.param });
  try {
    checkSize(spec);
  } catch (error) {
    if (error instanceof ConstraintError) throw refused(sentence(error.message));
    throw error;
  }
  if (JSON.stringify(spec).length > MAX_CHARS) throw refused(`The constraint is larger than ${MAX_CHARS} characters of JSON.`);
}

const MAX_CHOICES = 1_000;

function formatOf(spec: ConstraintSpec): Format {
  switch (spec.type) {
    case 'json_object':
      return schemaFormat({ type: 'object' });
    case 'json_schema':
      return schemaFormat(spec.schema);
    case 'regex':
      if (spec.pattern === '') throw new ConstraintError('The pattern must not be empty');
      return regexFormat(spec.pattern);
    case 'choice':
      return choiceFormat(spec.choices);
    case 'grammar':
      return ebnfFormat(spec.ebnf);
    case 'structural_tag':
      return formatOfTag(spec.tag);
    default:
      return spec satisfies never;
  }
}

function choiceFormat(choices: readonly string[]): Format {
  if (choices.length === 0) throw new ConstraintError('There must be at least one choice');
  if (choices.length > MAX_CHOICES) throw new ConstraintError(`There are ${choices.length} choices, more than ${MAX_CHOICES}`);
  const empty = choices.findIndex((choice) => typeof choice !== 'string' || choice === '');
  if (empty >= 0) throw new ConstraintError(`Choice ${empty} must be a string that is not empty`);
  const distinct = [...new Set(choices)];
  return grammarFormat(() => distinct.map(literal).join(' | '));
}

const sentence = (message: string): string => (/[.!?]$/.test(message) ? message : `${message}.`);
