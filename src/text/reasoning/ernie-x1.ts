/**
 * ERNIE X1: reasoning until `</think>`, then the answer in `<response>` … `</response>`, or calls in `<tool_call>` … `</tool_call>`, which
 * are left for the tool parser. What stands outside of these is dropped. Newlines beside the markers belong to the markers.
 */
import { type Reading, TextInput, takeUntil } from '../text-input.ts';
import type { ReasoningDialect, ReasoningParser, ReasoningPiece } from './reasoning-parser.ts';
import { alwaysThinking } from './think-tags.ts';

const RESPONSE = '<response>';
const RESPONSE_END = '</response>';
const CALL = '<tool_call>';
const CALL_END = '</tool_call>';

export const ERNIE_X1: ReasoningDialect = {
  name: 'ernie-x1',
  markers: ['<think>', '</think>', RESPONSE, RESPONSE_END],
  newParser: (renderedPrompt) => new ErnieX1(alwaysThinking(renderedPrompt)),
};

class ErnieX1 implements ReasoningParser {
  readonly #thinking: ReasoningParser;
  readonly #input = new TextInput();
  readonly #reading: Reading<void>;
  #content = '';

  constructor(thinking: ReasoningParser) {
    this.#thinking = thinking;
    this.#reading = readAnswer(this.#input, (text) => {
      this.#content += text;
    });
  }

  get isReasoning(): boolean {
    return this.#thinking.isReasoning;
  }

  push(text: string): ReasoningPiece {
    return this.#answer(this.#thinking.push(text));
  }

  flush(): ReasoningPiece {
    const rest = this.#thinking.flush();
    this.#input.isEnded = true;
    return this.#answer(rest);
  }

  #answer({ reasoning, content }: ReasoningPiece): ReasoningPiece {
    this.#input.rest += content;
    this.#reading.next();
    const answer = this.#content;
    this.#content = '';
    return { reasoning, content: answer };
  }
}

function* readAnswer(input: TextInput, say: (text: string) => void): Reading<void> {
  const drop = () => {};
  let hasResponse = false;
  for (;;) {
    const marker = yield* takeUntil(input, hasResponse ? [RESPONSE] : [RESPONSE, CALL], drop);
    if (marker === null) return;
    if (marker === RESPONSE) {
      hasResponse = true;
      yield* readResponse(input, say);
    } else {
      say(CALL);
      if ((yield* takeUntil(input, [CALL_END], say)) !== null) say(`${CALL_END}\n`);
    }
  }
}

/** Its text without the newlines at both ends. */
function* readResponse(input: TextInput, say: (text: string) => void): Reading<void> {
  let newlines = '';
  let hasText = false;
  yield* takeUntil(input, [RESPONSE_END], (text) => {
    const words = text.replace(/\n+$/, '');
    if (words !== '') say(hasText ? newlines + words : words.replace(/^\n+/, ''));
    newlines = words === '' ? newlines + text : text.slice(words.length);
    hasText ||= words !== '';
  });
}
