/** A plugin's parser: what it breaks stays within its own reply. */
import type { ToolParser, ToolPiece } from './tool-parser.ts';

const NOTHING: ToolPiece = { content: '', calls: [] };

/** After the first error, or a piece that is none, the text passes through as content. `onError` hears of it once. */
export function guardedParser(parser: ToolParser, onError: (error: unknown) => void): ToolParser {
  let isBroken = false;
  const guarded = (text: string, read: () => ToolPiece): ToolPiece => {
    if (!isBroken) {
      try {
        return checked(read());
      } catch (error) {
        isBroken = true;
        onError(error);
      }
    }
    return text === '' ? NOTHING : { content: text, calls: [] };
  };
  return { push: (text) => guarded(text, () => parser.push(text)), flush: () => guarded('', () => parser.flush()) };
}

function checked(piece: ToolPiece): ToolPiece {
  const isText = typeof piece?.content === 'string' && Array.isArray(piece.calls);
  const areCalls = isText && piece.calls.every(({ index, arguments: text }) => Number.isInteger(index) && typeof text === 'string');
  if (!areCalls) throw new Error('a tool parser must return {content: string, calls: {index, name?, arguments}[]}');
  return piece;
}
