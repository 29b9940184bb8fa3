/** POST /v1/completions */
import type { TextDelta } from '../core/generation.ts';
import { bestOf } from './best-of.ts';
import { type CollectedChoice, collectChoices } from './collected-choice.ts';
import { completionRequests, scoresPromptOnly } from './completion-request.ts';
import { CompletionStream } from './completion-stream.ts';
import { withSuffixParameters } from './extra-parameters.ts';
import { checkModelName, generationId, tokensPerEvent } from './generate-request.ts';
import { GenerationRun } from './generation-run.ts';
import { eventStreamReply, type HttpRequest, jsonReply } from './http-message.ts';
import { noTextLogprobs, promptLogprobsReply, type TextLogprobs, textLogprobs, tokenNamesOf } from './logprobs.ts';
import { type CompletionBody, completionSchema } from './openai-schema.ts';
import { NO_ECHO, promptEcho } from './prompt-echo.ts';
import { checkBody, readJsonObject } from './request-body.ts';
import type { Handler, RequestContext } from './routes.ts';
import type { Services } from './services.ts';
import { sseStream } from './sse.ts';
import { refuseUnsupported } from './unsupported-fields.ts';
import { usageReply } from './usage.ts';

export function completions(services: Services): Handler {
  return async (http, context) => {
    const { run, body } = await startCompletion(services, http, context);
    if (!body.stream) return jsonReply(200, await completionReply(run, body));
    return eventStreamReply(sseStream(run, new CompletionStream(run, body), tokensPerEvent(body)));
  };
}

async function startCompletion(services: Services, http: HttpRequest, context: RequestContext) {
  const { generator, features, limits } = services;
  const fields = withSuffixParameters(readJsonObject(http.body, limits.maxBodyBytes));
  refuseUnsupported(fields, 'completions');
  const body = checkBody(completionSchema, fields);
  checkModelName(body.model, generator.model);
  const id = generationId('cmpl', body);
  context.nameAfter(id);
  const requests = completionRequests(body, id, generator.model, features);
  const isScoring = scoresPromptOnly(body);
  const options = { id, requests, stream: body.stream, scoresPromptOnly: isScoring, toClient: isScoring ? withoutOutput : undefined };
  return { run: await GenerationRun.start(services, options, http, context), body };
}

/** Of the one token that was computed nobody is told. */
function withoutOutput({ choice, finishReason, logprobs }: TextDelta): TextDelta | null {
  if (finishReason === null) return null;
  const reason = finishReason === 'stop' ? 'length' : finishReason;
  return { choice, text: '', reasoning: '', rawText: '', tokenIds: [], logprobs: logprobs && [], finishReason: reason };
}

async function completionReply(run: GenerationRun, body: CompletionBody) {
  const candidates = await collectChoices(run);
  const choices = bestOf(candidates, body.best_of ?? body.n, body.n);
  return {
    id: run.id,
    object: 'text_completion',
    created: run.created,
    model: run.model,
    choices: choices.map((choice, index) => ({ index, ...choiceReply(run, choice, body) })),
    usage: usageReply(run.usage()),
  };
}

function choiceReply(run: GenerationRun, choice: CollectedChoice, body: CompletionBody) {
  const generation = run.generationOf(choice.index);
  const names = tokenNamesOf(body);
  const echo = body.echo ? promptEcho(generation, body.logprobs, names) : NO_ECHO;
  const output = textLogprobs(choice.logprobs ?? [], names, echo.numChars);
  return {
    text: echo.text + choice.text,
    prompt_token_ids: body.return_token_ids ? generation.promptTokenIds : null,
    completion_token_ids: body.return_token_ids ? choice.tokenIds : null,
    prompt_tokens: body.return_token_ids ? generation.promptText() : null,
    completion_tokens: body.return_token_ids ? choice.rawText : null,
    arrival_time: Number(choice.arrivalTime.toFixed(4)),
    logprobs: body.logprobs === undefined ? null : joined(echo.logprobs ?? noTextLogprobs(), output),
    prompt_logprobs:
      body.prompt_logprobs === undefined ? null : promptLogprobsReply(generation.promptLogprobs(), body.prompt_logprobs, names),
    draft_logprobs: null,
    // A text is not searched for reasoning or calls; FastDeploy's clients look for the members all the same.
    reasoning_content: null,
    tool_calls: null,
    finish_reason: choice.finishReason,
  };
}

function joined(first: TextLogprobs, second: TextLogprobs): TextLogprobs {
  return {
    tokens: [...first.tokens, ...second.tokens],
    token_logprobs: [...first.token_logprobs, ...second.token_logprobs],
    top_logprobs: [...first.top_logprobs, ...second.top_logprobs],
    text_offset: [...first.text_offset, ...second.text_offset],
  };
}
