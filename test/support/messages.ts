/** One valid message of each type; tests override what they are about. */
import { GREEDY } from '../../src/core/sampling-params.ts';
import type { Ack, AddRequest, EngineBeat, FrontendBeat, Nack, StepFrame, ToEngine, ToFrontend } from '../../src/transport/messages.ts';
import { PROTOCOL_VERSION } from '../../src/transport/messages.ts';

const sender = { frontendId: 'frontend-0', frontendEpoch: [1763800000000, 0xfedcba98] as const };

export const addRequest = (over: Partial<AddRequest> = {}): AddRequest => ({
  type: 'addRequest',
  ...sender,
  requestId: 'chatcmpl-5b1e',
  slot: 7,
  attempt: 2,
  seed: 2n ** 63n - 1n,
  promptIds: Uint32Array.of(0, 1, 103423, 2 ** 32 - 1),
  cacheSalt: 'salz 🧂',
  priority: -3,
  params: { ...GREEDY, temperature: 0.7, logitBias: [[5, -100]], badWords: [[1, 2]], stopTokenIds: [2], logprobs: 20 },
  controls: [],
  choices: [
    { index: 0, outputIds: [], finished: false },
    { index: 1, outputIds: [9, 8, 200000], finished: true },
  ],
  ...over,
});

export const frontendBeat = (over: Partial<FrontendBeat> = {}): FrontendBeat => ({
  type: 'frontendBeat',
  ...sender,
  peerId: 'frontend-0.1763800000000',
  acks: [{ engineId: 'engine-0', engineEpoch: [3, 4], frameSeq: 2 ** 40 }],
  ...over,
});

export const engineBeat = (over: Partial<EngineBeat> = {}): EngineBeat => ({
  type: 'engineBeat',
  engineId: 'engine-0',
  engineEpoch: [1763800000001, 17],
  peerId: 'engine-0.1763800000001',
  state: 'serving',
  fingerprint: 'sha256:abc',
  reason: null,
  stepId: 12345,
  load: {
    numRunning: 3,
    numWaiting: 0,
    maxNumSeqs: 8,
    numBlocks: 1000,
    numUsedBlocks: 12,
    numCachedBlocks: 40,
    queuedPrefillTokens: 5,
  },
  counters: { generation_tokens_total: 5_000_000_000, preemptions_total: 0 },
  frameSeqs: [{ ...sender, frameSeq: 99 }],
  ...over,
});

export const stepFrame = (entries?: StepFrame[6]): StepFrame => [
  PROTOCOL_VERSION,
  'engine-0',
  [1763800000001, 17],
  [1763800000000, 0xfedcba98],
  98,
  12345,
  entries ?? [
    [7, 2, 0, 41, [103423], null, null, null],
    [8, 0, 1, 0, [5, 6], 'stop', [[-0.1234567890123, [5, 9], [-0.1234567890123, Number.NEGATIVE_INFINITY]]], 64],
  ],
];

export const toEngineMessages: readonly ToEngine[] = [
  addRequest(),
  { type: 'abort', ...sender, slot: 7, attempt: 2, choice: null },
  { type: 'abort', ...sender, slot: 7, attempt: 2, choice: 1 },
  { type: 'replay', ...sender, fromFrameSeq: 12 },
  { type: 'hold', ...sender, slot: 7, attempt: 2, isHeld: true },
  { type: 'kvDump' },
  frontendBeat(),
  { type: 'drain' },
];
export const toFrontendMessages: readonly ToFrontend[] = [engineBeat(), engineBeat({ state: 'failed', reason: 'out of memory' })];
export const replies: readonly (Ack | Nack)[] = [
  { type: 'ack', position: 3 },
  { type: 'nack', code: 'queue_full', retryAfterMs: 1500, message: 'The queue is full.' },
];
