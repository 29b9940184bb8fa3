/** A chat generation begun from the fields of a request body: what every chat dialect is built on. */
import type { ModelCard, TextDelta } from '../core/generation.ts';
import { chatRequest } from './chat-request.ts';
import { checkModelName, generationId } from './generate-request.ts';
import { GenerationRun } from './generation-run.ts';
import type { HttpRequest } from './http-message.ts';
import { type ChatBody, chatSchema } from './openai-schema.ts';
import { checkBody, withoutNulls } from './request-body.ts';
import type { RequestContext } from './routes.ts';
import type { Services } from './services.ts';
import { refuseUnsupported } from './unsupported-fields.ts';

export interface ChatRun {
  /** Accepted by an engine. Read it with `run.deltas()` or `collectChoices(run)`; its end, failure or abandonment frees everything. */
  readonly run: GenerationRun;
  readonly body: ChatBody;
}

/**
 * @param fields a body of /v1/chat/completions, parsed but not checked; `null` means absent.
 * @param dialectId the run's id where the dialect has its own form; absent = `chatcmpl-…`.
 * @throws TroupeError for a wrong field (`param` names it), or when the request was refused.
 */
export async function startChat(
  services: Services,
  fields: Readonly<Record<string, unknown>>,
  http: Pick<HttpRequest, 'signal'>,
  context: RequestContext,
  dialectId?: string,
): Promise<ChatRun> {
  const { generator, features } = services;
  const body = checkChat(fields, generator.model);
  const id = dialectId ?? generationId('chatcmpl', body);
  context.nameAfter(id);
  const requests = [chatRequest(body, id, generator.model, features)];
  const toClient = body.include_reasoning ? undefined : withoutReasoning;
  return { run: await GenerationRun.start(services, { id, requests, stream: body.stream, toClient }, http, context), body };
}

/** The fields, checked. @throws FieldError naming a wrong one; TroupeError model_not_found. */
export function checkChat(fields: Readonly<Record<string, unknown>>, model: ModelCard): ChatBody {
  const given = withoutNulls(fields);
  refuseUnsupported(given, 'chat');
  const body = checkBody(chatSchema, given);
  checkModelName(body.model, model);
  return body;
}

const withoutReasoning = (delta: TextDelta): TextDelta => ({ ...delta, reasoning: '' });
