/** `[TOOL_CALLS] [{"name": …, "arguments": {…}}, …]`, and since 2025 `[TOOL_CALLS]name[ARGS]{…}`, repeated. */

import { firstCharacter, type Reading, type TextInput, takeUntil } from '../text-input.ts';
import { readArguments } from './call-object.ts';
import { readList } from './json.ts';
import { parserFrom, type ToolOutput } from './tool-output.ts';
import type { CallSyntax, ToolDialect } from './tool-parser.ts';

const MARKER = '[TOOL_CALLS]';
const ARGS = '[ARGS]';
const CALL_ID = '[CALL_ID]';

const LIST: CallSyntax = {
  prefix: `${MARKER} [`,
  begin: (name) => `{"name": ${JSON.stringify(name)}, "arguments": `,
  end: '}',
  separator: ', ',
  suffix: ']',
  trigger: MARKER,
};
const NAMED: CallSyntax = {
  prefix: MARKER,
  begin: (name) => `${name}${ARGS}`,
  end: '',
  separator: MARKER,
  suffix: '',
  trigger: MARKER,
};

export const MISTRAL: ToolDialect = {
  name: 'mistral',
  markers: [MARKER, ARGS, CALL_ID],
  newParser: () => parserFrom(read),
  syntax: (templateSource) => (templateSource.includes(ARGS) ? NAMED : LIST),
};

function* read(input: TextInput, out: ToolOutput): Reading<void> {
  while ((yield* takeUntil(input, [MARKER], (text) => out.say(text))) !== null) {
    if ((yield* firstCharacter(input)) === '[') yield* readList(input, out, () => true, MARKER);
    else if (!(yield* readNamed(input, out))) out.say(MARKER);
  }
}

const NAME = /^\s*([\w.-]+)\s*(?:\[CALL_ID\]\s*[\w-]+\s*)?(?:\[ARGS\]\s*)?$/;
const MAX_NAME_LENGTH = 256;

/** `name[ARGS]{…}`; older ones leave `[ARGS]` out. */
function* readNamed(input: TextInput, out: ToolOutput): Reading<boolean> {
  for (;;) {
    const start = input.rest.indexOf('{');
    const head = start < 0 ? input.rest : input.rest.slice(0, start);
    if (head.length > MAX_NAME_LENGTH || !/^[\s\w.[\]-]*$/.test(head) || (start < 0 && input.isEnded)) return false;
    const name = start < 0 ? undefined : NAME.exec(head)?.[1];
    if (start >= 0 && name === undefined) return false;
    if (name !== undefined) {
      input.take(start);
      out.beginCall(name);
      yield* readArguments(input, out, MARKER);
      return true;
    }
    yield;
  }
}
