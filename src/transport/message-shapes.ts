/**
 * What must be there in each message for its receiver to work: checked once per message at the process border, so that a field that is
 * missing or of another kind is a ProtocolError here and not a TypeError somewhere behind. Fields that are not listed are let through.
 */
import type { KvDump, KvEvents, NodeReply, NodeRequest, OperatorRequest, ToEngine, ToFrontend } from './messages.ts';

type Check = (value: unknown) => boolean;
type Shape = Readonly<Record<string, Check>>;

/** The first field of `message` that is not as it must be, or null. */
export function firstWrongField(message: Readonly<Record<string, unknown>>, shape: Shape): string | null {
  for (const field in shape) if (!shape[field]?.(message[field])) return field;
  return null;
}

const isString: Check = (value) => typeof value === 'string';
const isNumber: Check = (value) => typeof value === 'number' && Number.isFinite(value);
const isBoolean: Check = (value) => typeof value === 'boolean';
const isBigint: Check = (value) => typeof value === 'bigint';
const isTokenIds: Check = (value) => value instanceof Uint32Array;
const isEpoch: Check = (value) => Array.isArray(value) && value.length === 2 && isNumber(value[0]) && isNumber(value[1]);
const isRecord: Check = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const arrayOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const record =
  (shape: Shape): Check =>
  (value) =>
    isRecord(value) && firstWrongField(value as Record<string, unknown>, shape) === null;

const isPauseMark = record({
  isPaused: isBoolean,
  mode: (value) => value === 'abort' || value === 'wait' || value === 'keep',
  revision: isNumber,
  origin: isString,
});

const fromFrontend: Shape = { frontendId: isString, frontendEpoch: isEpoch };

export const TO_ENGINE_SHAPES: Readonly<Record<ToEngine['type'], Shape>> = {
  addRequest: {
    ...fromFrontend,
    requestId: isString,
    slot: isNumber,
    attempt: isNumber,
    seed: isBigint,
    promptIds: isTokenIds,
    cacheSalt: isString,
    priority: isNumber,
    params: isRecord,
    isSuspect: optional(isBoolean),
    controls: Array.isArray,
    choices: arrayOf(record({ index: isNumber, outputIds: isTokenIds, finished: isBoolean })),
  },
  abort: { ...fromFrontend, slot: isNumber, attempt: isNumber, choice: orNull(isNumber) },
  hold: { ...fromFrontend, slot: isNumber, attempt: isNumber, isHeld: isBoolean },
  replay: { ...fromFrontend, fromFrameSeq: isNumber },
  frontendBeat: {
    ...fromFrontend,
    peerId: isString,
    acks: arrayOf(record({ engineId: isString, engineEpoch: isEpoch, frameSeq: isNumber })),
    pause: optional(isPauseMark),
    numOpen: optional(isNumber),
    held: optional(arrayOf(record({ engineId: isString, engineEpoch: isEpoch, requests: arrayOf(isEpoch) }))),
    fenced: optional(arrayOf(record({ engineId: isString, engineEpoch: isEpoch }))),
  },
  drain: {},
  kvDump: {},
};

export const TO_FRONTEND_SHAPES: Readonly<Record<ToFrontend['type'], Shape>> = {
  engineBeat: {
    engineId: isString,
    engineEpoch: isEpoch,
    peerId: isString,
    state: isString,
    fingerprint: isString,
    reason: orNull(isString),
    stepId: isNumber,
    load: record({
      numRunning: isNumber,
      numWaiting: isNumber,
      maxNumSeqs: isNumber,
      numBlocks: isNumber,
      numUsedBlocks: isNumber,
      numCachedBlocks: isNumber,
      queuedPrefillTokens: isNumber,
      prefillTokensPerSecond: optional(isNumber),
      stepMs: optional(isNumber),
    }),
    counters: isRecord,
    frameSeqs: arrayOf(record({ frontendId: isString, frontendEpoch: isEpoch, frameSeq: isNumber })),
    pause: optional(isPauseMark),
    pauseRevision: optional(isNumber),
    isMigrating: optional(isBoolean),
    trial: optional(record({ frontendId: isString, frontendEpoch: isEpoch, slot: isNumber, attempt: isNumber })),
    isBusy: optional(isBoolean),
    credit: optional(
      record({
        grantedRequests: isNumber,
        acceptedRequests: isNumber,
        grantedPrefillTokens: isNumber,
        acceptedPrefillTokens: isNumber,
        lifetimeMs: isNumber,
      }),
    ),
    blockSize: optional(isNumber),
    kvSeq: optional(isNumber),
  },
};

/** Hashes are 16 bytes; `stored` has two of them per block. */
const isHashes =
  (numBytes: number): Check =>
  (value) =>
    value instanceof Uint8Array && value.byteLength % numBytes === 0;

export const KV_EVENTS_SHAPES: Readonly<Record<KvEvents['type'], Shape>> = {
  kvEvents: { engineId: isString, engineEpoch: isEpoch, kvSeq: isNumber, stored: isHashes(32), removed: isHashes(16) },
};

export const KV_DUMP_SHAPES: Readonly<Record<KvDump['type'], Shape>> = {
  kvDump: { engineEpoch: isEpoch, kvSeq: isNumber, stored: isHashes(32) },
};

export const OPERATOR_REQUEST_SHAPES: Readonly<Record<OperatorRequest['type'], Shape>> = {
  abortRequests: { ids: orNull(arrayOf(isString)) },
  pauseRequest: { mark: isPauseMark },
  metricsRequest: {},
};

export const OPERATOR_REPLY_SHAPES: Readonly<Record<'operatorReply', Shape>> = {
  operatorReply: { found: arrayOf(isString), aborted: arrayOf(isString), metrics: optional(isString) },
};

export const NODE_REQUEST_SHAPES: Readonly<Record<NodeRequest['type'], Shape>> = { nodeRequest: { name: isString, wish: isString } };

export const NODE_REPLY_SHAPES: Readonly<Record<NodeReply['type'], Shape>> = {
  nodeReply: { processes: arrayOf(record({ name: isString, state: isString })) },
};

export const REPLY_SHAPES: Readonly<Record<'ack' | 'nack', Shape>> = {
  ack: { position: isNumber },
  nack: { code: isString, retryAfterMs: isNumber, message: isString },
};

/** [slot, attempt, choice, firstIndex, ids, finish, logprobs, cachedTokens, hidden?] */
export function isFrameEntry(entry: unknown): boolean {
  if (!Array.isArray(entry) || entry.length < 8) return false;
  const [slot, attempt, choice, firstIndex, ids, finish, logprobs, cachedTokens, hidden, promptLogprobs] = entry as unknown[];
  return (
    isNumber(slot) &&
    isNumber(attempt) &&
    isNumber(choice) &&
    isNumber(firstIndex) &&
    arrayOf(isNumber)(ids) &&
    (finish === null || isString(finish)) &&
    (logprobs === null || arrayOf(isWireLogprob)(logprobs)) &&
    (cachedTokens === null || isNumber(cachedTokens)) &&
    (hidden === undefined || hidden === null || hidden instanceof Float32Array) &&
    (promptLogprobs === undefined || promptLogprobs === null || isWirePromptLogprobs(promptLogprobs))
  );
}

function isWirePromptLogprobs(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  const [firstIndex, ranks, logprobs, topIds, topLogprobs] = value as unknown[];
  return (
    isNumber(firstIndex) &&
    isTokenIds(ranks) &&
    logprobs instanceof Float32Array &&
    logprobs.length === (ranks as Uint32Array).length &&
    isTokenIds(topIds) &&
    topLogprobs instanceof Float32Array &&
    topLogprobs.length === (topIds as Uint32Array).length
  );
}

const isWireLogprob: Check = (value) =>
  Array.isArray(value) && typeof value[0] === 'number' && Array.isArray(value[1]) && Array.isArray(value[2]);

/** The header of a StepFrame after its version: engineId, engineEpoch, frontendEpoch, frameSeq, stepId, entries. */
export const isFrameHeader = (frame: readonly unknown[]): boolean =>
  isString(frame[1]) && isEpoch(frame[2]) && isEpoch(frame[3]) && isNumber(frame[4]) && isNumber(frame[5]) && Array.isArray(frame[6]);
