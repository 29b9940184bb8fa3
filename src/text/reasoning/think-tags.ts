/**
 * `<think>` … `</think>`, as troupe-mini, Qwen3, DeepSeek-R1 and many others write it. Either the prompt or the model opens the reasoning.
 * Newlines beside the two markers belong to the markers.
 */
import type { ReasoningParser, ReasoningParserFactory, ReasoningPiece } from './reasoning-parser.ts';

const OPEN = '<think>';
const CLOSE = '</think>';

export function thinkTagsFor(templateSource: string): ReasoningParserFactory | null {
  if (!templateSource.includes(CLOSE)) return null;
  return (renderedPrompt) => new ThinkTags(endsInReasoning(renderedPrompt));
}

/**
 * start      nothing but white space so far: `<think>` may still come                → reasoning | content
 * reasoning  everything is reasoning until `</think>`                                → closed
 * closed     newlines after `</think>` are dropped                                   → content
 * content    everything is content, also further markers
 */
type State = 'start' | 'reasoning' | 'closed' | 'content';

class ThinkTags implements ReasoningParser {
  #state: State;
  /** Text whose meaning the next text decides. */
  #held = '';
  #hasReasoning = false;

  constructor(isOpen: boolean) {
    this.#state = isOpen ? 'reasoning' : 'start';
  }

  get isReasoning(): boolean {
    return this.#state === 'reasoning';
  }

  push(text: string): ReasoningPiece {
    if (this.#state === 'content') return { reasoning: '', content: text };
    let rest = this.#held + text;
    this.#held = '';
    let reasoning = '';
    if (this.#state === 'start') {
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
    if (this.#state === 'reasoning') return { reasoning: this.#withoutFirstNewlines(held).replace(/\n+$/, ''), content: '' };
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
    this.#state = 'content';
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
function endsInReasoning(prompt: string): boolean {
  let turn = '';
  let last = -1;
  for (const border of prompt.matchAll(TURN_BORDER)) last = border.index + border[0].length;
  if (last >= 0) turn = prompt.slice(last);
  else turn = /<think>\s*$/.test(prompt) ? OPEN : '';
  return turn.lastIndexOf(OPEN) > turn.lastIndexOf(CLOSE);
}
