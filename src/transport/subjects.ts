/** Addresses. A process's address carries its incarnation, so that a successor never gets its predecessor's messages. */
import type { Epoch } from '../core/ids.ts';

const PREFIX = 'troupe.v1';
const suffix = (epoch: Epoch): string => `${epoch[0]}-${epoch[1]}`;

/** AddRequest, DrainRequest, KvDumpRequest (request/reply). */
export const engineRequests = (engineId: string, epoch: Epoch): string => `${PREFIX}.engine.${engineId}.${suffix(epoch)}.requests`;
/** AbortRequest, ReplayRequest (publish). */
export const engineControl = (engineId: string, epoch: Epoch): string => `${PREFIX}.engine.${engineId}.${suffix(epoch)}.control`;
/** StepFrame (publish). */
export const frontendFrames = (frontendId: string, epoch: Epoch): string => `${PREFIX}.frontend.${frontendId}.${suffix(epoch)}.frames`;
/** AbortRequests, PauseRequest (request/reply). */
export const frontendRequests = (frontendId: string, epoch: Epoch): string => `${PREFIX}.frontend.${frontendId}.${suffix(epoch)}.requests`;
/** KvEvents, from one engine group to all frontends. */
export const engineKvEvents = (engineId: string, epoch: Epoch): string => `${PREFIX}.kv.${engineId}.${suffix(epoch)}`;
/** KvEvents of every engine group. */
export const ALL_KV_EVENTS = `${PREFIX}.kv.>`;
/** EngineBeat, to all frontends. */
export const ENGINE_BEATS = `${PREFIX}.beat.engine`;
/** FrontendBeat, to all engine groups and frontends. */
export const FRONTEND_BEATS = `${PREFIX}.beat.frontend`;
/** NodeRequest (request/reply): every supervisor answers for its node and for each of its processes. */
export const nodeRequests = (name: string): string => `${PREFIX}.node.${name}.requests`;
/** Calls of the nodes of a tensor-parallel group to its node 0 (request/reply); their frames have subjects below it. */
export const groupCalls = (name: string): string => `${PREFIX}.group.${name}`;
