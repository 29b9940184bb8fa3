/**
 * Messages to bytes and back; the only file that knows msgpack. Control messages are maps with their version in `v`, frames are positional
 * arrays that begin with it. Fields that this version does not know are ignored; sampling parameters that an older sender does not know
 * take their neutral value. Everything that cannot be read is a ProtocolError.
 *
 * msgpackr: records would need structures that both sides share, and without `moreTypes` typed arrays arrive as something else.
 */
import { Packr } from 'msgpackr';
import { GREEDY } from '../core/sampling-params.ts';
import {
  firstWrongField,
  isFrameEntry,
  isFrameHeader,
  KV_DUMP_SHAPES,
  KV_EVENTS_SHAPES,
  NODE_REPLY_SHAPES,
  NODE_REQUEST_SHAPES,
  OPERATOR_REPLY_SHAPES,
  OPERATOR_REQUEST_SHAPES,
  REPLY_SHAPES,
  TO_ENGINE_SHAPES,
  TO_FRONTEND_SHAPES,
} from './message-shapes.ts';
import {
  type Ack,
  type AddRequest,
  type KvDump,
  type KvEvents,
  type Nack,
  type NodeReply,
  type NodeRequest,
  type OperatorReply,
  type OperatorRequest,
  PROTOCOL_VERSION,
  type StepFrame,
  type ToEngine,
  type ToFrontend,
} from './messages.ts';
import { ProtocolError } from './protocol-error.ts';

const packr = new Packr({ useRecords: false, moreTypes: true, int64AsType: 'bigint' });

/** Plain data, typed arrays among it, between the processes of one engine group, which are of one version. */
export const packPlain = (value: unknown): Uint8Array => packr.pack(value);

/** The value belongs to the caller: nothing of `data` is kept. @throws ProtocolError */
export function unpackPlain(data: Uint8Array): unknown {
  try {
    return packr.unpack(Uint8Array.from(data));
  } catch (cause) {
    throw new ProtocolError('malformed', 'A message of the engine group cannot be read.', cause);
  }
}

/** A control message. The bytes are the caller's: nothing writes to them again. */
export function encode(
  message: ToEngine | ToFrontend | KvEvents | KvDump | Ack | Nack | OperatorRequest | OperatorReply | NodeRequest | NodeReply,
): Uint8Array {
  const fields = message.type === 'addRequest' ? withBinaryIds(message) : message;
  return packr.pack({ v: PROTOCOL_VERSION, ...fields });
}

/** @throws ProtocolError */
export function decodeToEngine(data: Uint8Array): ToEngine {
  const message = decodeControl(data, TO_ENGINE_SHAPES) as unknown as ToEngine;
  return message.type === 'addRequest' ? withPlainIds(message) : message;
}

/** @throws ProtocolError */
export function decodeToFrontend(data: Uint8Array): ToFrontend {
  return decodeControl(data, TO_FRONTEND_SHAPES) as unknown as ToFrontend;
}

/** The answer to an AddRequest or DrainRequest. @throws ProtocolError */
export function decodeReply(data: Uint8Array): Ack | Nack {
  return decodeControl(data, REPLY_SHAPES) as unknown as Ack | Nack;
}

/** @throws ProtocolError */
export function decodeKvEvents(data: Uint8Array): KvEvents {
  return decodeControl(data, KV_EVENTS_SHAPES) as unknown as KvEvents;
}

/** The answer to a KvDumpRequest. @throws ProtocolError */
export function decodeKvDump(data: Uint8Array): KvDump {
  return decodeControl(data, KV_DUMP_SHAPES) as unknown as KvDump;
}

/** @throws ProtocolError */
export function decodeOperatorRequest(data: Uint8Array): OperatorRequest {
  return decodeControl(data, OPERATOR_REQUEST_SHAPES) as unknown as OperatorRequest;
}

/** The answer to AbortRequests or PauseRequest. @throws ProtocolError */
export function decodeOperatorReply(data: Uint8Array): OperatorReply {
  return decodeControl(data, OPERATOR_REPLY_SHAPES) as unknown as OperatorReply;
}

/** @throws ProtocolError */
export function decodeNodeRequest(data: Uint8Array): NodeRequest {
  return decodeControl(data, NODE_REQUEST_SHAPES) as unknown as NodeRequest;
}

/** @throws ProtocolError */
export function decodeNodeReply(data: Uint8Array): NodeReply {
  return decodeControl(data, NODE_REPLY_SHAPES) as unknown as NodeReply;
}

/** One engine step's tokens for one frontend. */
export function encodeFrame(frame: StepFrame): Uint8Array {
  return packr.pack(frame);
}

/** @throws ProtocolError */
export function decodeFrame(data: Uint8Array): StepFrame {
  const frame = unpack(data);
  if (!Array.isArray(frame)) throw new ProtocolError('malformed', `A step frame must be an array, not ${describe(frame)}.`);
  checkVersion(frame[0]);
  if (!isFrameHeader(frame)) throw new ProtocolError('malformed', 'A step frame whose header is incomplete.');
  const wrongEntry = (frame[6] as unknown[]).findIndex((entry) => !isFrameEntry(entry));
  if (wrongEntry !== -1) throw new ProtocolError('malformed', `Entry ${wrongEntry} of a step frame from ${frame[1]} cannot be read.`);
  return frame as unknown as StepFrame;
}

function decodeControl(data: Uint8Array, shapes: Readonly<Record<string, Parameters<typeof firstWrongField>[1]>>): Record<string, unknown> {
  const message = unpack(data);
  if (typeof message !== 'object' || message === null || Array.isArray(message))
    throw new ProtocolError('malformed', `A control message must be a map, not ${describe(message)}.`);
  const { v, ...fields } = message as Record<string, unknown>;
  checkVersion(v);
  const { type } = fields;
  const shape = typeof type === 'string' && Object.hasOwn(shapes, type) ? shapes[type] : undefined;
  if (!shape) {
    const given = typeof type === 'string' ? `"${type}"` : describe(type);
    throw new ProtocolError('malformed', `Message type ${given} is not one of ${Object.keys(shapes).join(', ')}.`);
  }
  const wrongField = firstWrongField(fields, shape);
  if (wrongField !== null)
    throw new ProtocolError('malformed', `Field "${wrongField}" of a ${type} message is missing or of a wrong type.`);
  return fields;
}

function unpack(data: Uint8Array): unknown {
  try {
    return packr.unpack(data);
  } catch (error) {
    throw new ProtocolError('malformed', `${data.byteLength} bytes that are not msgpack.`, error);
  }
}

function checkVersion(version: unknown): void {
  if (version === PROTOCOL_VERSION) return;
  if (typeof version !== 'number') throw new ProtocolError('malformed', 'A message without a protocol version.');
  throw new ProtocolError('version', `A message of protocol version ${version}; this process speaks version ${PROTOCOL_VERSION}.`);
}

/** Four bytes a token, whatever its id: a long conversation is continued with one copy instead of a value at a time. */
function withBinaryIds(message: AddRequest): object {
  return { ...message, choices: message.choices.map((choice) => ({ ...choice, outputIds: Uint32Array.from(choice.outputIds) })) };
}

function withPlainIds(message: AddRequest): AddRequest {
  const choices = message.choices.map((choice) => ({ ...choice, outputIds: Array.from(choice.outputIds) }));
  return { ...message, params: { ...GREEDY, ...message.params }, choices };
}

const describe = (value: unknown): string => (Array.isArray(value) ? 'an array' : value === null ? 'nil' : `a ${typeof value}`);
