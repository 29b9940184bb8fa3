/** The events of a streamed message: message_start, its content blocks one after the other, message_delta, message_stop. */
import type { TextDelta, Usage } from '../../core/generation.ts';
import { type EventWriter, namedEvent } from '../event-stream.ts';
import type { GenerationRun } from '../generation-run.ts';
import { OutputParts, type PartEvent } from '../output-parts.ts';
import { messageErrorObject } from './message-error.ts';
import { emptyBlock, type MessageEnd, messageObject, signatureOf, stopFields, usageFields } from './message-reply.ts';

export class MessageStream implements EventWriter {
  readonly #run: Pick<GenerationRun, 'id' | 'model' | 'usage'>;
  readonly #parts = new OutputParts();
  #end: MessageEnd = { finishReason: null, stopString: null };
  #hasBegun = false;

  constructor(run: Pick<GenerationRun, 'id' | 'model' | 'usage'>) {
    this.#run = run;
  }

  deltas(batch: readonly TextDelta[]): string {
    let events = this.#begin();
    for (const delta of batch) {
      for (const event of this.#parts.push(delta)) events += blockEvent(event);
      if (delta.finishReason !== null) this.#end = { finishReason: delta.finishReason, stopString: delta.stopString ?? null };
    }
    return events;
  }

  end(usage: Usage): string {
    let events = this.#begin();
    for (const event of this.#parts.end()) events += blockEvent(event);
    const delta = { ...stopFields(this.#end, this.#parts.parts), stop_details: null, container: null };
    return events + namedEvent({ type: 'message_delta', delta, usage: usageFields(usage) }) + namedEvent({ type: 'message_stop' });
  }

  failed(error: unknown): string {
    return namedEvent(messageErrorObject(error, this.#run.id));
  }

  /** With the first token, when it is known how much of the prompt came from the cache. */
  #begin(): string {
    if (this.#hasBegun) return '';
    this.#hasBegun = true;
    return (
      namedEvent({ type: 'message_start', message: messageObject(this.#run, [], null, this.#run.usage()) }) + namedEvent({ type: 'ping' })
    );
  }
}

function blockEvent(event: PartEvent): string {
  const { part } = event;
  const { index } = part;
  switch (event.type) {
    case 'start':
      return namedEvent({ type: 'content_block_start', index, content_block: emptyBlock(part) });
    case 'delta':
      return namedEvent({ type: 'content_block_delta', index, delta: blockDelta(part.type, event.text) });
    case 'end': {
      const signature = { type: 'signature_delta', signature: part.type === 'reasoning' ? signatureOf(part.text) : '' };
      const signed = part.type === 'reasoning' ? namedEvent({ type: 'content_block_delta', index, delta: signature }) : '';
      return signed + namedEvent({ type: 'content_block_stop', index });
    }
    default:
      return event satisfies never;
  }
}

function blockDelta(type: 'text' | 'reasoning' | 'tool_call', text: string) {
  switch (type) {
    case 'text':
      return { type: 'text_delta', text };
    case 'reasoning':
      return { type: 'thinking_delta', thinking: text };
    case 'tool_call':
      return { type: 'input_json_delta', partial_json: text };
    default:
      return type satisfies never;
  }
}
