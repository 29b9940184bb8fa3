/** A pooling request on the path of a generation: nothing is sampled, so only its prompt has to be prepared. */

import { TroupeError } from '../core/errors.ts';
import type { GenerateRequest } from '../core/generation.ts';
import type { PoolingRequest } from '../core/pooling.ts';
import { GREEDY } from '../core/sampling-params.ts';
import { type ModelText, type PreparedRequest, type PrepareOptions, prepareRequest } from './prepare-request.ts';

/** The same request in the words of a generation, for its life in the frontend. */
export function asGenerateRequest(request: PoolingRequest): GenerateRequest {
  const { truncatePromptTokens } = request;
  return {
    requestId: request.requestId,
    ...(request.batchId !== undefined && { batchId: request.batchId }),
    prompt: request.prompt,
    priority: request.priority,
    // -1 would leave room for output.
    ...(truncatePromptTokens !== undefined && truncatePromptTokens >= 0 && { truncatePromptTokens }),
    n: 1,
    sampling: { temperature: 0, maxTokens: 1 },
    stop: [],
    stopTokenIds: [],
    includeStopStrInOutput: false,
    ignoreEos: true,
    skipSpecialTokens: true,
    badWords: [],
    badWordsTokenIds: [],
    parseReasoning: false,
    wantTokenIds: false,
  };
}

/** A prompt may be as long as the model takes: nothing comes after it. @throws as prepareRequest. */
export async function preparePooling(request: PoolingRequest, model: ModelText, options: PrepareOptions): Promise<PreparedRequest> {
  const { maxModelLen } = model;
  const isCutToModel = request.truncatePromptTokens === -1;
  const asGeneration = { ...asGenerateRequest(request), ...(isCutToModel && { truncatePromptTokens: maxModelLen }) };
  try {
    // One position more, for the token that a generation needs room for.
    const prepared = await prepareRequest(asGeneration, { ...model, maxModelLen: maxModelLen + 1 }, options);
    return { ...prepared, params: { ...GREEDY, pooling: true } };
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code !== 'context_length_exceeded') throw error;
    const message = `This model's maximum context length is ${maxModelLen} tokens, but the input has more. Shorten it, or set truncate_prompt_tokens.`;
    throw new TroupeError('context_length_exceeded', message, { ...(error.param !== null && { param: error.param }), cause: error });
  }
}
