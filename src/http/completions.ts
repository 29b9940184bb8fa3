/** POST /v1/completions */
import { type CollectedChoice, collectChoices } from './collected-choice.ts';
import { CompletionStream } from './completion-stream.ts';
import { logprobsDisabled } from './error-reply.ts';
import { checkModelName, completionRequests, generationId } from './generate-request.ts';
import { GenerationRun } from './generation-run.ts';
import { eventStreamReply, type HttpReply, jsonReply } from './http-message.ts';
import { textLogprobs } from './logprobs.ts';
import { type CompletionBody, completionSchema } from './openai-schema.ts';
import { checkBody, readJsonObject } from './request-body.ts';
import type { Handler } from './routes.ts';
import type { Services } from './services.ts';
import { sseStream } from './sse.ts';
import { refuseUnsupported } from './unsupported-fields.ts';
import { usageReply } from './usage.ts';

export function completions(services: Services): Handler {
  return async (http, context) => {
    const fields = readJsonObject(http.body, services.limits.maxBodyBytes);
    refuseUnsupported(fields, 'completions');
    const body = checkBody(completionSchema, fields);
    const { model } = services.generator;
    checkModelName(body.model, model);
    if (body.logprobs !== undefined && !services.features.enableLogprob) throw logprobsDisabled();
    const id = generationId('cmpl', body);
    context.nameAfter(id);
    const requests = completionRequests(body, id, model);
    const run = await GenerationRun.start(services, { id, requests, stream: body.stream }, http, context);
    if (!body.stream) return await completeReply(run, body);
    const writer = new CompletionStream(run, body);
    return eventStreamReply(sseStream(run, writer));
  };
}

async function completeReply(run: GenerationRun, body: CompletionBody): Promise<HttpReply> {
  const choices = await collectChoices(run);
  return jsonReply(200, {
    id: run.id,
    object: 'text_completion',
    created: run.created,
    model: run.model,
    choices: choices.map((choice) => choiceReply(run, choice, body)),
    usage: usageReply(run.usage()),
  });
}

function choiceReply(run: GenerationRun, choice: CollectedChoice, body: CompletionBody) {
  const hasLogprobs = body.logprobs !== undefined;
  return {
    index: choice.index,
    text: choice.text,
    prompt_token_ids: body.return_token_ids ? run.promptTokenIds(choice.index) : null,
    completion_token_ids: body.return_token_ids ? choice.tokenIds : null,
    logprobs: hasLogprobs ? textLogprobs(choice.logprobs ?? []) : null,
    finish_reason: choice.finishReason,
  };
}
