/** Any reply of the server, streamed or not, as what a client has at its end: joined text, calls, ids, log-probabilities, reasons. */
import { parseNamedEvents } from './named-events.ts';
import { parseChunks } from './sse-client.ts';
import { addUp } from './stream-sum.ts';

// biome-ignore lint/suspicious/noExplicitAny: replies of several shapes
type Json = any;

/** @param text the whole body of a reply with status 200. */
export function joinReply(path: string, text: string): Json {
  if (text.startsWith('event: ')) return joinNamed(parseNamedEvents(text));
  if (text.startsWith('data: ')) return withoutUsage(addUp(parseChunks(text)));
  const json = JSON.parse(text);
  if (path === '/v1/embeddings') return json.data;
  return withoutUsage(addUp([json]));
}

/** What a restarted engine has cached differs. */
const withoutUsage = ({ choices, usage }: Json): Json => ({ choices, numTokens: usage?.completion_tokens ?? null });

/** Pieces joined by the block they belong to, whatever they were cut into; ids are made anew for each request. */
function joinNamed(events: readonly Json[]): Json {
  const pieces: Record<string, string> = {};
  const others: Json[] = [];
  for (const event of events) {
    const { type, delta, output_index: item, index } = event;
    const piece = typeof delta === 'string' ? delta : (delta?.text ?? delta?.thinking ?? delta?.partial_json);
    const key = `${type} ${delta?.type ?? ''} ${item ?? index}`;
    if (type === 'error' || type === 'response.failed') throw new Error(`The stream failed: ${JSON.stringify(event)}`);
    if (piece === undefined) others.push({ type, index: item ?? index, reason: delta?.stop_reason, output: event.response?.output });
    else pieces[key] = (pieces[key] ?? '') + piece;
  }
  return JSON.parse(JSON.stringify({ pieces, others }).replaceAll(/[0-9a-f]{32}/g, 'HEX'));
}
