/** `{"name": …, "parameters": {…}}` as the whole reply or after `<|python_tag|>`; several calls stand between semicolons. Llama 3.1 and 3.2. */

import { firstCharacter, type Reading, type TextInput, takeNext, takeUntil } from '../text-input.ts';
import { readCall } from './call-object.ts';
import { parserFrom, type ToolOutput } from './tool-output.ts';
import { isToolOf, type ToolDialect } from './tool-parser.ts';

const PYTHON_TAG = '<|python_tag|>';

export const LLAMA3_JSON: ToolDialect = {
  name: 'llama3-json',
  markers: [PYTHON_TAG],
  newParser: (tools) => parserFrom((input, out) => read(input, out, isToolOf(tools))),
  syntax: () => ({
    prefix: '{',
    begin: (name) => `"name": ${JSON.stringify(name)}, "parameters": `,
    end: '',
    separator: '}; {',
    suffix: '}',
    trigger: null,
  }),
};

/** Only a known name makes a bare object a call: replies that are JSON stay what they are. */
function* read(input: TextInput, out: ToolOutput, isTool: (name: string) => boolean): Reading<void> {
  if ((yield* firstCharacter(input)) === '{') yield* readCalls(input, out, isTool);
  while ((yield* takeUntil(input, [PYTHON_TAG], (text) => out.say(text))) !== null) {
    if (!(yield* readCalls(input, out, isTool))) out.say(PYTHON_TAG);
  }
}

/** Whether there was one at least. */
function* readCalls(input: TextInput, out: ToolOutput, isTool: (name: string) => boolean): Reading<boolean> {
  if (!(yield* readCall(input, out, { end: null, isTool }))) return false;
  while (yield* takeNext(input, ';')) {
    if ((yield* firstCharacter(input)) === '') break;
    if (yield* readCall(input, out, { end: null, isTool })) continue;
    out.say(';');
    break;
  }
  return true;
}
