/** A format for what follows the reasoning, which itself is free. */
import type { Format } from './tool-constraint.ts';

/** Up to two newlines may stand behind the end of the reasoning, as models are used to. */
const NEWLINES: Format = { type: 'regex', pattern: '\\n{0,2}' };
const NOTHING: Format = { type: 'grammar', grammar: 'root ::= ""' };

const thinkingFrom = (begin: string): Format => ({ type: 'tag', begin, content: { type: 'any_text' }, end: '</think>' });

/** For outputs that begin inside the reasoning. */
export function afterThinking(format: Format): Format {
  return { type: 'sequence', elements: [thinkingFrom(''), NEWLINES, format] };
}

/** For outputs that may begin with reasoning, and need not. */
export function afterPossibleThinking(format: Format): Format {
  const thoughts: Format = { type: 'sequence', elements: [thinkingFrom('<think>'), NEWLINES] };
  return { type: 'sequence', elements: [{ type: 'or', elements: [thoughts, NOTHING] }, format] };
}
