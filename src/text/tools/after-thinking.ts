/** A format for what follows the reasoning, which itself is free. */
import type { Format } from './tool-constraint.ts';

/** For outputs that begin inside the reasoning. Up to two newlines may stand behind its end, as models are used to. */
export function afterThinking(format: Format): Format {
  const thinking = { type: 'tag', begin: '', content: { type: 'any_text' }, end: '</think>' };
  return { type: 'sequence', elements: [thinking, { type: 'regex', pattern: '\\n{0,2}' }, format] };
}
