/** `<tool_call>\n{"name": …, "arguments": {…}}\n</tool_call>`, repeated: Hermes, Qwen2.5, Qwen3, troupe-mini, and ERNIE with rules of its own. */

import { type Reading, type TextInput, takeNext, takeUntil } from '../text-input.ts';
import { readCall } from './call-object.ts';
import { parserFrom, type ToolOutput } from './tool-output.ts';
import type { CallSyntax, ToolDialect } from './tool-parser.ts';

const OPEN = '<tool_call>';
const CLOSE = '</tool_call>';

const SYNTAX: CallSyntax = {
  prefix: `${OPEN}\n`,
  begin: (name) => `{"name": ${JSON.stringify(name)}, "arguments": `,
  end: '}',
  separator: `\n${CLOSE}\n${OPEN}\n`,
  suffix: `\n${CLOSE}`,
  trigger: OPEN,
};

export const HERMES: ToolDialect = dialect('hermes', () => false);

/** After an answer in `<response>` tags nothing is called any more. */
export const ERNIE_X1: ToolDialect = dialect('ernie-x1', (out) => out.contentEndsWith('</response>'));

/** A call stands at the very beginning, or behind the reasoning: after other words nothing is called any more. */
export const ERNIE_45_VL_THINKING: ToolDialect = dialect('ernie-45-vl-thinking', (out) => out.numCalls === 0 && out.hasWords);

/** @param isIllegal whether a marker at this place begins no call; then the marker and all that follows are content. */
function dialect(name: string, isIllegal: (out: ToolOutput) => boolean): ToolDialect {
  return {
    name,
    markers: [OPEN, CLOSE],
    newParser: () => parserFrom((input, out) => read(input, out, isIllegal)),
    syntax: () => SYNTAX,
  };
}

function* read(input: TextInput, out: ToolOutput, isIllegal: (out: ToolOutput) => boolean): Reading<void> {
  while ((yield* takeUntil(input, [OPEN], (text) => out.say(text))) !== null) {
    const isLegal = !isIllegal(out);
    if (isLegal && (yield* readCall(input, out, { end: CLOSE }))) {
      while (yield* takeNext(input, '}')); // one bracket too many
      yield* takeNext(input, CLOSE);
    } else out.say(OPEN);
    if (!isLegal) return;
  }
}
