/** The events of a streamed response, numbered, in OpenAI's order. */
import type { FinishReason, TextDelta, Usage } from '../../core/generation.ts';
import { errorBody } from '../error-reply.ts';
import { type EventWriter, type NamedEvent, namedEvent } from '../event-stream.ts';
import { chatLogprobs } from '../logprobs.ts';
import { type OutputPart, OutputParts, type PartEvent } from '../output-parts.ts';
import {
  contentPart,
  endState,
  itemId,
  outputItem,
  outputItems,
  type ResponseHead,
  type ResponseState,
  responseObject,
} from './response-object.ts';

export interface ResponseStreamOptions {
  readonly head: ResponseHead;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** Gets the response when it ended well, before the client does. */
  readonly onEnd: (response: ReturnType<typeof responseObject>) => void;
}

export class ResponseStream implements EventWriter {
  readonly #options: ResponseStreamOptions;
  readonly #output = new OutputParts();
  #finishReason: FinishReason | null = null;
  #numEvents = 0;

  constructor(options: ResponseStreamOptions) {
    this.#options = options;
  }

  deltas(batch: readonly TextDelta[]): string {
    let events = this.#begin();
    for (const delta of batch) {
      for (const event of this.#output.push(delta)) events += this.#partEvents(event);
      if (delta.finishReason !== null) this.#finishReason = delta.finishReason;
    }
    return events;
  }

  end(usage: Usage): string {
    let events = this.#begin();
    for (const event of this.#output.startTextIfEmpty()) events += this.#partEvents(event);
    const state = endState(this.#finishReason, usage, this.#options.now());
    for (const event of this.#output.end()) events += this.#partEvents(event, state.status === 'completed' ? 'completed' : 'incomplete');
    const response = this.#response(state);
    this.#options.onEnd(response);
    return events + this.#event({ type: `response.${state.status}`, response });
  }

  failed(error: unknown, usage: Usage): string {
    const { message, code, param } = (JSON.parse(errorBody(error)) as { error: { message: string; code: string; param: string | null } })
      .error;
    const begin = this.#begin();
    const told = this.#event({ type: 'error', code, message, param });
    return begin + told + this.#event({ type: 'response.failed', response: this.#response({ status: 'failed', usage, message }) });
  }

  #begin(): string {
    if (this.#numEvents > 0) return '';
    const response = this.#response({ status: 'in_progress' });
    return this.#event({ type: 'response.created', response }) + this.#event({ type: 'response.in_progress', response });
  }

  #response(state: ResponseState) {
    const { head } = this.#options;
    return responseObject(head, state, state.status === 'in_progress' ? [] : outputItems(head, this.#output.parts, state));
  }

  #partEvents(event: PartEvent, status: 'completed' | 'incomplete' = 'completed'): string {
    switch (event.type) {
      case 'start':
        return this.#started(event.part);
      case 'delta':
        return this.#event(this.#deltaEvent(event));
      case 'end':
        return this.#ended(event.part, status);
      default:
        return event satisfies never;
    }
  }

  #started(part: OutputPart): string {
    const { head } = this.#options;
    const added = this.#event({
      type: 'response.output_item.added',
      output_index: part.index,
      item: outputItem(head, part, 'in_progress'),
    });
    if (part.type === 'tool_call') return added;
    return (
      added +
      this.#event({ type: 'response.content_part.added', ...this.#place(part), content_index: 0, part: contentPart(head, part, true) })
    );
  }

  #deltaEvent({ part, text, logprobs }: Extract<PartEvent, { type: 'delta' }>): NamedEvent {
    const place = this.#place(part);
    switch (part.type) {
      case 'text': {
        const entries = logprobs.length === 0 ? [] : chatLogprobs(logprobs).content;
        return { type: 'response.output_text.delta', ...place, content_index: 0, delta: text, logprobs: entries };
      }
      case 'reasoning':
        return { type: 'response.reasoning_text.delta', ...place, content_index: 0, delta: text };
      case 'tool_call':
        return { type: 'response.function_call_arguments.delta', ...place, delta: text };
      default:
        return part.type satisfies never;
    }
  }

  #ended(part: OutputPart, status: 'completed' | 'incomplete'): string {
    const { head } = this.#options;
    const done = this.#event({ ...this.#place(part), ...this.#doneFields(part) });
    const partDone =
      part.type === 'tool_call'
        ? ''
        : this.#event({ type: 'response.content_part.done', ...this.#place(part), content_index: 0, part: contentPart(head, part) });
    return (
      done + partDone + this.#event({ type: 'response.output_item.done', output_index: part.index, item: outputItem(head, part, status) })
    );
  }

  #doneFields(part: OutputPart): NamedEvent {
    switch (part.type) {
      case 'text':
        return { type: 'response.output_text.done', content_index: 0, text: part.text, logprobs: chatLogprobs(part.logprobs).content };
      case 'reasoning':
        return { type: 'response.reasoning_text.done', content_index: 0, text: part.text };
      case 'tool_call':
        return { type: 'response.function_call_arguments.done', name: part.name, arguments: part.text };
      default:
        return part.type satisfies never;
    }
  }

  #place(part: OutputPart) {
    return { item_id: itemId(this.#options.head, part), output_index: part.index };
  }

  #event(event: NamedEvent): string {
    return namedEvent({ ...event, sequence_number: this.#numEvents++ });
  }
}
