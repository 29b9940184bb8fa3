/**
 * DeepSeek's markers around each call and around all of them. V3 and R1: `function` `sep` name, and the arguments in a json code block;
 * V3.1: name `sep` arguments.
 */

import { type Reading, type TextInput, takeNext, takeUntil } from '../text-input.ts';
import { readArguments } from './call-object.ts';
import { parserFrom, type ToolOutput } from './tool-output.ts';
import type { CallSyntax, ToolDialect } from './tool-parser.ts';

const CALLS_BEGIN = '<｜tool▁calls▁begin｜>';
const CALLS_END = '<｜tool▁calls▁end｜>';
const CALL_BEGIN = '<｜tool▁call▁begin｜>';
const CALL_END = '<｜tool▁call▁end｜>';
const SEPARATOR = '<｜tool▁sep｜>';
const CODE_BLOCK = '```';

const V3: CallSyntax = {
  prefix: CALLS_BEGIN + CALL_BEGIN,
  begin: (name) => `function${SEPARATOR}${name}\n${CODE_BLOCK}json\n`,
  end: `\n${CODE_BLOCK}`,
  separator: `${CALL_END}\n${CALL_BEGIN}`,
  suffix: CALL_END + CALLS_END,
  trigger: CALLS_BEGIN,
};
const V31: CallSyntax = {
  ...V3,
  begin: (name) => `${name}${SEPARATOR}`,
  end: '',
  separator: CALL_END + CALL_BEGIN,
};

export const DEEPSEEK: ToolDialect = {
  name: 'deepseek',
  markers: [CALLS_BEGIN, CALLS_END, CALL_BEGIN, CALL_END, SEPARATOR],
  newParser: () => parserFrom(read),
  syntax: (templateSource) => (templateSource === '' || templateSource.includes(`${CODE_BLOCK}json`) ? V3 : V31),
};

function* read(input: TextInput, out: ToolOutput): Reading<void> {
  const say = (text: string) => out.say(text);
  while ((yield* takeUntil(input, [CALLS_BEGIN], say)) !== null) {
    if (!(yield* readCalls(input, out))) out.say(CALLS_BEGIN);
  }
}

/** False = no call begins here, and nothing was taken. */
function* readCalls(input: TextInput, out: ToolOutput): Reading<boolean> {
  const numBefore = out.numCalls;
  for (;;) {
    const marker = yield* takeNext(input, CALL_BEGIN);
    if (marker === '') break;
    if (yield* readCall(input, out)) continue;
    out.say(out.numCalls === numBefore ? CALLS_BEGIN + marker : marker);
    return true;
  }
  if (out.numCalls > numBefore) yield* takeNext(input, CALLS_END);
  return out.numCalls > numBefore;
}

const MAX_NAME_LENGTH = 256;
const V3_HEAD = /^\s*function<｜tool▁sep｜>\s*(\S+)\s*```(?:json)?\s*(?=\{)/;
const V31_HEAD = /^\s*([^\s<]+)\s*<｜tool▁sep｜>\s*(?:```(?:json)?\s*)?(?=\{)/;

/** Up to and with the end of the call. False = nothing was taken. */
function* readCall(input: TextInput, out: ToolOutput): Reading<boolean> {
  for (;;) {
    const isDecided = input.rest.includes('{') || input.rest.length > MAX_NAME_LENGTH || input.isEnded;
    if (isDecided) {
      const text = input.rest.slice(0, MAX_NAME_LENGTH);
      const head = V3_HEAD.exec(text) ?? V31_HEAD.exec(text);
      if (!head) return false;
      input.take(head[0].length);
      out.beginCall(head[1]!);
      yield* readArguments(input, out, CALL_END);
      yield* takeNext(input, CODE_BLOCK);
      yield* takeNext(input, CALL_END);
      return true;
    }
    yield;
  }
}
