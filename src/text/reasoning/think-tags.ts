/**
 * `<think>` … `</think>`, as troupe-mini, Qwen3, DeepSeek-R1 and many others write it. Either the prompt or the model opens the reasoning;
 * some models are trained to think always. Newlines beside the two markers belong to the markers.
 */
import type { ReasoningDialect, ReasoningParser, ReasoningPiece } from './reasoning-parser.ts';

const OPEN = '<think>';
const CLOSE = '</think>';

/** Reasoning where the prompt or the model opens it. */
export const QWEN3: ReasoningDialect = {
  name: 'qwen3',
  markers: [OPEN, CLOSE],
  newParser: (renderedPrompt) => new ThinkTags(stateOf(renderedPrompt) === 'open' ? 'reasoning' : 'start'),
};

/** Reasoning from the very start, also without `<think>`, unless the prompt has closed it. */
export const DEEPSEEK_R1: ReasoningDialect = thinksAlways('deepseek-r1');
export const ERNIE_45_VL_THINKING: ReasoningDialect = thinksAlways('ernie-45-vl-thinking');

function thinksAlways(name: string): ReasoningDialect {
  return { name, markers: [OPEN, CLOSE], newParser: alwaysThinking };
}

/** A parser for a model that thinks first, whatever the prompt says, except that it has thought already. */
export function alwaysThinking(renderedPrompt: string): ReasoningParser {
  const state = stateOf(renderedPrompt);
  return new ThinkTags(state === 'open' ? 'reasoning' : state === 'closed' ? 'content' : 'unopened');
}

/**
 * start      nothing but white space so far: `<think>` may still come                → reasoning | content
 * unopened   the same, but it is reasoning also without `<think>`                    → reasoning
 * reasoning  everything is reasoning until `</think>`                                → closed
 * closed     newlines after `</think>` are dropped                                   → content
 * content    everything is content, also further markers
 */
type State = 'start' | 'unopened' | 'reasoning' | 'closed' | 'content';

class ThinkTags implements ReasoningParser {
  #state: State;
  /** Text whose meaning the next text decides. */
  #held = '';
  #hasReasoning = false;

  constructor(state: State) {
    this.#state = state;
  }

  get isReasoning(): boolean {
    return this.#state === 'reasoning' || this.#state === 'unopened';
  }

  push(text: string): ReasoningPiece {
    if (this.#state === 'content') return { reasoning: '', content: text };
    let rest = this.#held + text;
    this.#held = '';
    let reasoning = '';
    if (this.#state === 'start' || this.#state === 'unopened') {
      const opened = this.#start(rest);
      if (opened === null) return { reasoning: '', content: '' };
      rest = opened;
    }
    if (this.#state === 'reasoning') [reasoning, rest] = this.#reason(rest);
    if (this.#state === 'closed') {
      rest = rest.replace(/^\n+/, '');
      if (rest !== '') this.#state = 'content';
    }
    return { reasoning, content: rest };
  }

  flush(): ReasoningPiece {
    const held = this.#held;
    this.#held = '';
    if (this.isReasoning) return { reasoning: this.#withoutFirstNewlines(held).replace(/\n+$/, ''), content: '' };
    return { reasoning: '', content: held };
  }

  /** The text after `<think>`, or all of it when there is none; null while that is undecided. */
  #start(text: string): string | null {
    const words = text.trimStart();
    if (words.startsWith(OPEN)) {
      this.#state = 'reasoning';
      return words.slice(OPEN.length);
    }
    if (OPEN.startsWith(words)) {
      this.#held = text;
      return null;
    }
    this.#state = this.#state === 'unopened' ? 'reasoning' : 'content';
    return text;
  }

  /** [reasoning that is certain, text after `</think>`] */
  #reason(text: string): [string, string] {
    const close = text.indexOf(CLOSE);
    if (close >= 0) {
      this.#state = 'closed';
      return [this.#withoutFirstNewlines(text.slice(0, close)).replace(/\n+$/, ''), text.slice(close + CLOSE.length)];
    }
    const numCertain = lengthWithoutMarkerStart(text);
    this.#held = text.slice(numCertain);
    return [this.#withoutFirstNewlines(text.slice(0, numCertain)), ''];
  }

  #withoutFirstNewlines(text: string): string {
    if (this.#hasReasoning) return text;
    const stripped = text.replace(/^\n+/, '');
    this.#hasReasoning = stripped !== '';
    return stripped;
  }
}

/** Without the end of `text` that may be newlines before `</think>` and the beginning of it. */
function lengthWithoutMarkerStart(text: string): number {
  let length = text.length;
  for (let size = Math.min(CLOSE.length - 1, text.length); size > 0; size--) {
    if (text.endsWith(CLOSE.slice(0, size))) {
      length -= size;
      break;
    }
  }
  while (length > 0 && text[length - 1] === '\n') length -= 1;
  return length;
}

/** Ends of turns and other special tokens in public chat formats; what follows the last one is the turn that the model continues. */
const TURN_BORDER = /<\|[^|<>]{1,40}\|>|<｜[^｜<>]{1,40}｜>|<(?:start|end)_of_turn>|<\/?s>|\[\/?INST\]/g;

/** Only the last turn counts: a `<think>` in a user's message opens nothing. */
export function stateOf(prompt: string): 'open' | 'closed' | 'unopened' {
  let turn = '';
  let last = -1;
  for (const border of prompt.matchAll(TURN_BORDER)) last = border.index + border[0].length;
  if (last >= 0) turn = prompt.slice(last);
  else turn = /<\/?think>\s*$/.exec(prompt)?.[0] ?? '';
  const [open, close] = [turn.lastIndexOf(OPEN), turn.lastIndexOf(CLOSE)];
  if (open === close) return 'unopened';
  return open > close ? 'open' : 'closed';
}
