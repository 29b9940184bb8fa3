/** Server-sent events of one generation: all deltas that waited become one write, with one `data:` event each. */
import type { TextDelta, Usage } from '../core/generation.ts';
import { errorBody } from './error-reply.ts';
import type { GenerationRun } from './generation-run.ts';
import { joinedDeltas } from './joined-deltas.ts';

const DONE = 'data: [DONE]\n\n';

/** One event. */
export function sseEvent(json: string): string {
  return `data: ${json}\n\n`;
}

/** Formats one stream's chunks; one per request, so that what never changes is written once. */
export interface ChunkWriter {
  /** Zero or more events. */
  deltas(batch: readonly TextDelta[]): string;
  /** What follows the last delta, before `[DONE]`. */
  end(usage: Usage): string;
}

/** A failure after the headers is told as an event; the stream still ends with `[DONE]`. */
export async function* sseStream(run: GenerationRun, writer: ChunkWriter, tokensPerEvent = 1): AsyncGenerator<string> {
  try {
    const deltas = tokensPerEvent > 1 ? joinedDeltas(run.deltas(), tokensPerEvent) : run.deltas();
    for await (const batch of deltas) {
      const events = writer.deltas(batch);
      if (events !== '') yield events;
    }
  } catch (error) {
    yield sseEvent(errorBody(error)) + DONE;
    return;
  }
  yield writer.end(run.usage()) + DONE;
}
