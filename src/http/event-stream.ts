/** Server-sent events with names, as the dialects stream them: the name is the payload's `type`. */
import type { TextDelta, Usage } from '../core/generation.ts';
import type { GenerationRun } from './generation-run.ts';

export interface NamedEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Formats one stream's events; one per request. */
export interface EventWriter {
  /** Zero or more events. */
  deltas(batch: readonly TextDelta[]): string;
  /** The events of a good end. */
  end(usage: Usage): string;
  /** The events of a failure after the headers. */
  failed(error: unknown, usage: Usage): string;
}

export function namedEvent(event: NamedEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** All deltas that waited become one write. No `[DONE]`: the last event says by its name that it is the last. */
export async function* eventStream(run: GenerationRun, writer: EventWriter): AsyncGenerator<string> {
  try {
    for await (const batch of run.deltas()) {
      const events = writer.deltas(batch);
      if (events !== '') yield events;
    }
  } catch (error) {
    yield writer.failed(error, run.usage());
    return;
  }
  yield writer.end(run.usage());
}
