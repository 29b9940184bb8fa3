/** What a tool parser made of a text: the pieces joined, as a client joins them. */
import assert from 'node:assert/strict';
import type { ToolUse } from '../../src/core/generation.ts';
import type { ToolDialect, ToolPiece } from '../../src/text/tools/tool-parser.ts';
import { cuts } from './text-fixtures.ts';

export const TOOLS: ToolUse = {
  functions: ['get_weather', 'set_timer', 'f'].map((name) => ({ name, parameters: { type: 'object' } })),
  choice: 'auto',
  parallel: true,
};

export interface JoinedCalls {
  readonly content: string;
  readonly calls: readonly (readonly [name: string, args: string])[];
}

/** Names come once, with the first piece of a call, and indices count from 0. */
export function joined(pieces: readonly ToolPiece[]): JoinedCalls {
  const calls: [string, string][] = [];
  for (const call of pieces.flatMap((piece) => piece.calls)) {
    if (call.name !== undefined) {
      assert.equal(call.index, calls.length);
      assert.equal(call.arguments, '');
      calls.push([call.name, '']);
    } else {
      assert.equal(call.index, calls.length - 1);
      calls[call.index]![1] += call.arguments;
    }
  }
  return { content: pieces.map((piece) => piece.content).join(''), calls };
}

export function read(dialect: ToolDialect, parts: readonly string[], tools = TOOLS): JoinedCalls {
  const parser = dialect.newParser(tools);
  return joined([...parts.map((part) => parser.push(part)), parser.flush()]);
}

/** The same for every way to cut the text. */
export function assertCalls(dialect: ToolDialect, text: string, calls: JoinedCalls['calls'], content = ''): void {
  for (const parts of cuts(text)) assert.deepEqual(read(dialect, parts), { content, calls }, JSON.stringify(parts));
}

/** No call in any way to cut it: the text comes back unchanged. */
export function assertContent(dialect: ToolDialect, ...texts: readonly string[]): void {
  for (const text of texts) assertCalls(dialect, text, [], text);
}
