/** The whole reply is one call, `{"name": …, "arguments": {…}}`, or a list of calls. For models that were trained on no format of their own. */

import { firstCharacter, type Reading, type TextInput, takeNext } from '../text-input.ts';
import { readCall } from './call-object.ts';
import { parserFrom, type ToolOutput } from './tool-output.ts';
import { isToolOf, type ToolDialect } from './tool-parser.ts';

export const JSON_CALLS: ToolDialect = {
  name: 'json',
  markers: [],
  newParser: (tools) => parserFrom((input, out) => read(input, out, isToolOf(tools))),
  syntax: () => ({
    prefix: '[',
    begin: (name) => `{"name": ${JSON.stringify(name)}, "arguments": `,
    end: '}',
    separator: ', ',
    suffix: ']',
    trigger: null,
  }),
};

function* read(input: TextInput, out: ToolOutput, isTool: (name: string) => boolean): Reading<void> {
  const first = yield* firstCharacter(input);
  if (first === '{') yield* readCall(input, out, { end: null, isTool });
  if (first === '[') yield* readList(input, out, isTool, '');
}

/**
 * A list of calls in brackets.
 * @param marker what was taken before it, to be content when there is no call.
 */
export function* readList(input: TextInput, out: ToolOutput, isTool: (name: string) => boolean, marker: string): Reading<void> {
  const opening = input.take(input.rest.indexOf('[') + 1);
  if (!(yield* readCall(input, out, { end: null, isTool }))) {
    out.say(marker + opening);
    return;
  }
  while (yield* takeNext(input, ',')) {
    if (yield* readCall(input, out, { end: null, isTool })) continue;
    out.say(',');
    return;
  }
  yield* takeNext(input, ']');
}
