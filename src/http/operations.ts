/**
 * The operator's endpoints, in FastDeploy's control envelope: POST /v1/abort_requests, /v1/pause, /v1/resume, GET /v1/is_paused; and
 * GET /config-info. Each speaks for the whole server, whichever of its frontends answers.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { EngineLoad } from '../core/engine-load.ts';
import type { PauseMode } from '../core/operations.ts';
import { FieldError } from './error-reply.ts';
import { type HttpReply, type HttpRequest, jsonReply } from './http-message.ts';
import { checkBody, readJsonObject } from './request-body.ts';
import type { Handler } from './routes.ts';
import { atMost, flag, textList } from './schema-fields.ts';
import type { Services } from './services.ts';

const MAX_REQUEST_IDS = 16_384;
const PAUSE_MODES: readonly PauseMode[] = ['abort', 'wait', 'keep'];

export const abortSchema = z.object({
  abort_all: flag.default(false),
  req_ids: atMost(MAX_REQUEST_IDS, textList).default([]),
});

export const pauseSchema = z.object({
  mode: z.enum(PAUSE_MODES, `mode must be one of ${PAUSE_MODES.join(', ')}`).default('abort'),
});

export function abortRequests({ operations, limits }: Services): Handler {
  return async (http) => {
    const { abort_all, req_ids } = checkBody(abortSchema, readFields(http, limits.maxBodyBytes));
    if (!abort_all && req_ids.length === 0) {
      throw new FieldError('missing_required_parameter', 'must provide abort_all=true or req_ids', { param: 'req_ids' });
    }
    const { aborted, notFound } = await operations.abortRequests(abort_all ? 'all' : req_ids);
    return control({ aborted, not_found: notFound });
  };
}

export function pause({ operations, limits }: Services): Handler {
  return async (http) => {
    const { mode } = checkBody(pauseSchema, readFields(http, limits.maxBodyBytes));
    await operations.pause(mode);
    return control({ is_paused: operations.pauseState().isPaused, mode });
  };
}

export function resume({ operations }: Services): Handler {
  return async () => {
    await operations.resume();
    return control({ is_paused: operations.pauseState().isPaused });
  };
}

export function isPaused({ operations }: Services): Handler {
  return () => {
    const { isPaused, mode } = operations.pauseState();
    return control({ is_paused: isPaused, ...(isPaused && { mode }) });
  };
}

export function configInfo({ operations, generator, serverFacts, version }: Services): Handler {
  return () => {
    const { maxModelLen, vocabSize, names } = generator.model;
    const { isPaused } = operations.pauseState();
    return jsonReply(200, {
      ...serverFacts,
      version_info: { troupe: version, node: process.version },
      served_model_names: names,
      max_model_len: maxModelLen,
      vocab_size: vocabSize,
      state: generator.readiness().state,
      is_paused: isPaused,
      engines: operations.engines().map(({ id, state, fingerprint, load }) => ({ id, state, fingerprint, ...inSnakeCase(load) })),
    });
  };
}

const inSnakeCase = (load: EngineLoad): Record<string, number> =>
  Object.fromEntries(Object.entries(load).map(([name, value]) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value]));

/** FastDeploy's reply to whatever an operator asks. A failure is told as everywhere, in the error object. */
function control(result: unknown): HttpReply {
  return jsonReply(200, { request_id: `control-${randomUUID()}`, status: 'success', error: null, result });
}

/** A JSON body, the query string, or both: the body wins. No body at all is an empty one. */
function readFields({ body, query }: HttpRequest, maxBodyBytes: number): Record<string, unknown> {
  const fields = body?.byteLength === 0 ? {} : readJsonObject(body, maxBodyBytes);
  return { ...Object.fromEntries(new URLSearchParams(query ?? '')), ...fields };
}
