/** The items of a Responses request, each checked, with an id, and known by where it came from. */
import { TroupeError } from '../../core/errors.ts';
import { FieldError } from '../error-reply.ts';
import { FIELD_REQUIRED } from '../schema-fields.ts';
import type { ResponsesBody } from './schema.ts';

export type Item = Readonly<Record<string, unknown>>;

export interface PlacedItem {
  readonly item: Item;
  /** Where it stands in the request: `input[2]`, or `previous_response_id`. */
  readonly at: string;
}

/** Finds an item of a stored response by its id; null = there is none. */
export type FindItem = (id: string) => Item | null;

const PREFIXES: Readonly<Record<string, string>> = { message: 'msg', function_call: 'fc', function_call_output: 'fco', reasoning: 'rs' };

/**
 * @param hex of the response's id, for items that come without an id of their own.
 * @throws FieldError for an item that this server cannot read; TroupeError not_found for a reference to none.
 */
export function inputItems(input: ResponsesBody['input'], hex: string, findItem: FindItem): PlacedItem[] {
  if (typeof input === 'string') {
    const content = [{ type: 'input_text', text: input }];
    return [{ item: { id: `msg_${hex}_in0`, type: 'message', role: 'user', status: 'completed', content }, at: 'input' }];
  }
  return input.map((given, i) => {
    const at = `input[${i}]`;
    const type = typeof given.type === 'string' ? given.type : 'role' in given ? 'message' : 'item_reference';
    if (type === 'item_reference') return { item: referenced(given, at, findItem), at };
    const prefix = PREFIXES[type];
    if (!prefix)
      throw new FieldError('invalid_value', `Items of type "${type}" are not supported by this server.`, { param: `${at}.type` });
    const item = type === 'message' ? { ...given, content: messageContent(given) } : given;
    return { item: { id: `${prefix}_${hex}_in${i}`, ...withoutNullId(item), type }, at };
  });
}

/** As parts, the form in which a message is given back. */
function messageContent({ role, content }: Item): unknown {
  if (typeof content !== 'string') return content;
  return [role === 'assistant' ? { type: 'output_text', text: content, annotations: [] } : { type: 'input_text', text: content }];
}

function withoutNullId({ id, ...item }: Item): Item {
  return typeof id === 'string' ? { ...item, id } : item;
}

function referenced({ id }: Item, at: string, findItem: FindItem): Item {
  const param = `${at}.id`;
  if (typeof id !== 'string') throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param });
  const item = findItem(id);
  if (!item)
    throw new TroupeError('not_found', `Item with id '${id}' not found: only items of stored responses can be referred to.`, { param });
  return item;
}
