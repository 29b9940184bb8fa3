/**
 * One choice as a sequence of parts: reasoning, text, tool calls, in the order in which they came. Chat completions have fields for
 * them; the dialects (messages/, responses/) have a list, and tell where each part begins and ends.
 */
import type { TextDelta, TokenLogprob } from '../core/generation.ts';

export interface OutputPart {
  readonly type: 'reasoning' | 'text' | 'tool_call';
  /** Its place in the list. */
  readonly index: number;
  /** So far. Of a tool call: its arguments, JSON when complete. */
  readonly text: string;
  /** Of a tool call; empty otherwise. */
  readonly id: string;
  readonly name: string;
  /** Of text, when they were asked for. */
  readonly logprobs: readonly TokenLogprob[];
}

export type PartEvent =
  | { readonly type: 'start' | 'end'; readonly part: OutputPart }
  | { readonly type: 'delta'; readonly part: OutputPart; readonly text: string; readonly logprobs: readonly TokenLogprob[] };

type GrowingPart = { -readonly [Key in keyof OutputPart]: OutputPart[Key] } & { readonly call: number | null; logprobs: TokenLogprob[] };

export class OutputParts {
  readonly #parts: GrowingPart[] = [];
  #open: GrowingPart | null = null;

  get parts(): readonly OutputPart[] {
    return this.#parts;
  }

  /** What a delta adds. A part begins with its first text, and ends where the next begins. */
  push({ reasoning, text, toolCalls = [], logprobs }: TextDelta): PartEvent[] {
    const events: PartEvent[] = [];
    if (reasoning !== '') this.#append(events, this.#partFor(events, 'reasoning'), reasoning, []);
    if (text !== '') this.#append(events, this.#partFor(events, 'text'), text, logprobs ?? []);
    for (const { index, id, name, arguments: piece } of toolCalls) {
      const part = this.#partFor(events, 'tool_call', { call: index, id: id ?? '', name: name ?? '' });
      if (piece !== '') this.#append(events, part, piece, []);
    }
    return events;
  }

  /** For dialects whose answer has at least one part. */
  startTextIfEmpty(): PartEvent[] {
    const events: PartEvent[] = [];
    if (this.#parts.length === 0) this.#partFor(events, 'text');
    return events;
  }

  /** Closes the last part. */
  end(): PartEvent[] {
    const part = this.#open;
    this.#open = null;
    return part ? [{ type: 'end', part }] : [];
  }

  #partFor(events: PartEvent[], type: OutputPart['type'], { call, id, name }: CallFacts = NO_CALL): GrowingPart {
    if (this.#open?.type === type && this.#open.call === call) return this.#open;
    events.push(...this.end());
    const part: GrowingPart = { type, index: this.#parts.length, text: '', id, name, call, logprobs: [] };
    this.#parts.push(part);
    this.#open = part;
    events.push({ type: 'start', part });
    return part;
  }

  #append(events: PartEvent[], part: GrowingPart, text: string, logprobs: readonly TokenLogprob[]): void {
    part.text += text;
    for (const entry of logprobs) part.logprobs.push(entry);
    events.push({ type: 'delta', part, text, logprobs });
  }
}

interface CallFacts {
  readonly call: number | null;
  readonly id: string;
  readonly name: string;
}

const NO_CALL: CallFacts = { call: null, id: '', name: '' };
