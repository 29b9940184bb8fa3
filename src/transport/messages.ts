/**
 * Everything that crosses a process border, grouped by receiver. Control messages are msgpack maps, frames positional arrays; each has a
 * version, and unknown fields are ignored. Every message is checked for its version by codec.ts.
 */
import type { EngineLoad } from '../core/engine-load.ts';
import type { FinishReason } from '../core/generation.ts';
import type { Epoch } from '../core/ids.ts';
import type { PauseState } from '../core/operations.ts';
import type { SamplingParams } from '../core/sampling-params.ts';

export const PROTOCOL_VERSION = 1;

// ---- engine group receives --------------------------------------------------------------------------------------------------------

/**
 * Frontend → engine group, by request/reply; the answer is an Ack or Nack. Idempotent on (frontendId, frontendEpoch, slot, attempt).
 * Lost: the frontend's time-out sends it again, to the same engine or to another with attempt + 1.
 */
export interface AddRequest {
  readonly type: 'addRequest';
  readonly frontendId: string;
  readonly frontendEpoch: Epoch;
  readonly requestId: string;
  /** The frontend's number for this request, repeated in frames. Never used twice in one frontend epoch. */
  readonly slot: number;
  /** Counts up with every engine that the request is given to. */
  readonly attempt: number;
  readonly seed: bigint;
  readonly promptIds: Uint32Array;
  readonly cacheSalt: string;
  readonly priority: number;
  readonly params: SamplingParams;
  /** Engines died while they worked on it, and it may have been the cause; absent = no. */
  readonly isSuspect?: boolean;
  /** Journalled controls (thinking budget, grammar …): none yet. */
  readonly controls: readonly unknown[];
  /** Non-empty `outputIds` means *continue*: crash, preemption and migration are one path. */
  readonly choices: readonly { readonly index: number; readonly outputIds: readonly number[]; readonly finished: boolean }[];
}

export interface Ack {
  readonly type: 'ack';
  readonly position: number;
}

export interface Nack {
  readonly type: 'nack';
  /** `invalid_grammar`: params.constraint is bad, too large or too slow; the message is for the client. */
  readonly code: 'queue_full' | 'too_long' | 'draining' | 'loading' | 'stale' | 'invalid_grammar';
  readonly retryAfterMs: number;
  readonly message: string;
}

/** Frontend → engine group. `choice` null = all. Lost: the next frame for a slot or choice that the frontend no longer knows makes it send another. */
export interface AbortRequest {
  readonly type: 'abort';
  readonly frontendId: string;
  readonly frontendEpoch: Epoch;
  readonly slot: number;
  readonly attempt: number;
  readonly choice: number | null;
}

/** Frontend → engine group: send frames from `fromFrameSeq` again. Lost: the gap is still there at the next frame or beat. */
export interface ReplayRequest {
  readonly type: 'replay';
  readonly frontendId: string;
  readonly frontendEpoch: Epoch;
  readonly fromFrameSeq: number;
}

/** Frontend → all engine groups, every beat: alive, and how far each engine's frames were taken. */
export interface FrontendBeat {
  readonly type: 'frontendBeat';
  readonly frontendId: string;
  readonly frontendEpoch: Epoch;
  /** Transport peer, to tie `onPeerGone` to it. */
  readonly peerId: string;
  /** Engine id → highest contiguous frameSeq taken from that epoch. */
  readonly acks: readonly { readonly engineId: string; readonly engineEpoch: Epoch; readonly frameSeq: number }[];
  /** Absent = never paused, as far as it knows. */
  readonly pause?: PauseMark;
  /** Starts of engines that it gave up as silent or stuck: their messages are refused, and they come back under a later epoch. */
  readonly fenced?: readonly { readonly engineId: string; readonly engineEpoch: Epoch }[];
  /** All that it holds (HoldRequest); engines that are not named here hold nothing of it. Absent = it says nothing about that. */
  readonly held?: readonly {
    readonly engineId: string;
    readonly engineEpoch: Epoch;
    readonly requests: readonly (readonly [slot: number, attempt: number])[];
  }[];
  /** Generations that its HTTP edge is answering; absent = 0. */
  readonly numOpen?: number;
}

/** Whether the server is paused, as one operator's word of many: the greater `revision` holds, then the greater `origin`. */
export interface PauseMark extends PauseState {
  readonly revision: number;
  /** Who was asked. */
  readonly origin: string;
}

/** Operator → engine group, by request/reply. (The supervisor uses its child's channel.) */
export interface DrainRequest {
  readonly type: 'drain';
}

/**
 * Frontend → engine group, by request/reply: which blocks does the prefix cache hold? The answer is a KvDump. Lost: asked again with a
 * later beat; until then the frontend routes with what it knows.
 */
export interface KvDumpRequest {
  readonly type: 'kvDump';
}

/**
 * Frontend → engine group: its reader does not keep up, or does again. A held request keeps its place for a while, then only its tokens.
 * Lost: repeated by the next beat.
 */
export interface HoldRequest {
  readonly type: 'hold';
  readonly frontendId: string;
  readonly frontendEpoch: Epoch;
  readonly slot: number;
  readonly attempt: number;
  readonly isHeld: boolean;
}

export type ToEngine = HoldRequest | AddRequest | AbortRequest | ReplayRequest | FrontendBeat | DrainRequest | KvDumpRequest;

// ---- frontend receives ------------------------------------------------------------------------------------------------------------

/** [choice's log-probabilities of one token]: logprob of the sampled token, then the alternatives' ids and values. */
export type WireLogprob = readonly [logprob: number, topIds: readonly number[], topLogprobs: readonly number[]];

/** Of prompt tokens from `firstIndex` on; the alternatives of each follow each other. */
export type WirePromptLogprobs = readonly [
  firstIndex: number,
  ranks: Uint32Array,
  logprobs: Float32Array,
  topIds: Uint32Array,
  topLogprobs: Float32Array,
];

export type FrameEntry = readonly [
  slot: number,
  attempt: number,
  choice: number,
  /** Index of ids[0] in the choice's output: taken if it equals the journal's length, lower is a duplicate; higher: the request is taken from this engine and continued from the journal. */
  firstIndex: number,
  ids: readonly number[],
  finish: FinishReason | null,
  logprobs: readonly WireLogprob[] | null,
  cachedTokens: number | null,
  /** What a pooling request ends with; absent for all others. */
  hidden?: Float32Array | null,
  /** A part of the prompt's log-probabilities, where they were asked for; all parts come before the first token. */
  promptLogprobs?: WirePromptLogprobs | null,
];

/** Engine group → one frontend: one per engine step. Lost: noticed by the next frame's or beat's number, repaired by ReplayRequest. */
export type StepFrame = readonly [
  version: number,
  engineId: string,
  engineEpoch: Epoch,
  frontendEpoch: Epoch,
  /** Contiguous from 1 per engine–frontend pair of epochs. */
  frameSeq: number,
  stepId: number,
  entries: readonly FrameEntry[],
];

export type EngineState = 'starting' | 'loading' | 'serving' | 'draining' | 'drained' | 'failed';

/**
 * What an engine could begin at once, as totals since its epoch began: room = granted − accepted. Totals say the same however often they
 * are heard, late or never.
 */
export interface Credit {
  readonly grantedRequests: number;
  readonly acceptedRequests: number;
  readonly grantedPrefillTokens: number;
  readonly acceptedPrefillTokens: number;
  /** Older ones say nothing. */
  readonly lifetimeMs: number;
}

/** One attempt of one request. */
export interface TrialMark {
  readonly frontendId: string;
  readonly frontendEpoch: Epoch;
  readonly slot: number;
  readonly attempt: number;
}

/** Engine group → all frontends, every beat and on every change of state. */
export interface EngineBeat {
  readonly type: 'engineBeat';
  readonly engineId: string;
  readonly engineEpoch: Epoch;
  readonly peerId: string;
  readonly state: EngineState;
  /** Equal fingerprints promise the same tokens: weights, quantisation, TP, provider, library, CPU features. */
  readonly fingerprint: string;
  readonly reason: string | null;
  /** Proof of progress, from a thread that is not the busy one. */
  readonly stepId: number;
  readonly load: EngineLoad;
  /** Counters since this epoch began, by metric name without prefix. */
  readonly counters: Readonly<Record<string, number>>;
  /** The last frameSeq sent to each frontend, so that a lost last frame is noticed. */
  readonly frameSeqs: readonly { readonly frontendId: string; readonly frontendEpoch: Epoch; readonly frameSeq: number }[];
  /** What it knows of a pause, so that a frontend that starts again learns it. */
  readonly pause?: PauseMark;
  /** Of the last pause that has taken effect in its rank. */
  readonly pauseRevision?: number;
  /** The only suspect in the rank: should this engine die, too, that was the cause. Absent = none. */
  readonly trial?: TrialMark;
  /** It has drained for so long that what runs is to go on elsewhere, where an equal engine serves. */
  readonly isMigrating?: boolean;
  /** Its rank computes, or has messages that it has not taken: then `stepId` has to move. Absent = nothing follows from it. */
  readonly isBusy?: boolean;
  /** A hint how much more it would take; absent = none. */
  readonly credit?: Credit;
  /** Tokens of a KV block; absent = it shares no prefixes. */
  readonly blockSize?: number;
  /** Number of the last KvEvents, so that a lost last one is noticed; absent = it sends none. */
  readonly kvSeq?: number;
}

/**
 * Engine group → all frontends, at most every 30 ms and only when something changed: its prefix cache. Contiguous numbers from 1 in each
 * epoch. Lost: noticed by the next number or a beat, repaired by a KvDump; meanwhile requests may go where their prefix is not.
 * Hashes are 16 bytes each (core/block-hash.ts).
 */
export interface KvEvents {
  readonly type: 'kvEvents';
  readonly engineId: string;
  readonly engineEpoch: Epoch;
  readonly kvSeq: number;
  /** Hash and parent, alternating; parents before children. */
  readonly stored: Uint8Array;
  readonly removed: Uint8Array;
}

/** Answers a KvDumpRequest: all blocks as they are after the KvEvents with this number. */
export interface KvDump {
  readonly type: 'kvDump';
  readonly engineEpoch: Epoch;
  readonly kvSeq: number;
  /** As in KvEvents. */
  readonly stored: Uint8Array;
}

/** Frontend → each other frontend, by request/reply; the answer is an OperatorReply. `ids` null = all. Lost: the operator's call fails, and is made again. */
export interface AbortRequests {
  readonly type: 'abortRequests';
  readonly ids: readonly string[] | null;
}

/**
 * Frontend → each other frontend, by request/reply: adopt this mark and answer (OperatorReply) when the requests here are dealt with as it
 * says. Lost: beats carry the mark too, so only the answer is missing.
 */
export interface PauseRequest {
  readonly type: 'pauseRequest';
  readonly mark: PauseMark;
}

/** Frontend → each other frontend, by request/reply: what have you measured? Lost: the scrape goes without it. */
export interface MetricsRequest {
  readonly type: 'metricsRequest';
}

/** Answers an OperatorRequest. */
export interface OperatorReply {
  readonly type: 'operatorReply';
  /** Given ids that were known here; what they meant stands in `aborted`. */
  readonly found: readonly string[];
  readonly aborted: readonly string[];
  /** JSON; answers MetricsRequest. */
  readonly metrics?: string;
}

// ---- a node's supervisor receives ---------------------------------------------------------------------------------------------------

/**
 * Operator (`troupe drain`) → supervisor, by request/reply: what becomes of the process or the node of that name? `drain`: it finishes what
 * it does, ends, and is not started again. The answer is a NodeReply. Lost: asked again, which changes nothing.
 */
export interface NodeRequest {
  readonly type: 'nodeRequest';
  readonly name: string;
  readonly wish: 'drain' | 'status';
}

export interface NodeReply {
  readonly type: 'nodeReply';
  readonly processes: readonly { readonly name: string; readonly state: NodeProcessState }[];
}

export type NodeProcessState = 'starting' | 'running' | 'draining' | 'drained' | 'down';

export type ToFrontend = EngineBeat;
/** What one frontend asks of another, for an operator. */
export type OperatorRequest = AbortRequests | PauseRequest | MetricsRequest;
