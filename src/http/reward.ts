/** POST /v1/reward: a conversation in, the model's scores of it out, in FastDeploy's shape. Only for checkpoints with a reward head. */
import { z } from 'zod';
import { TroupeError } from '../core/errors.ts';
import { poolingFields } from './embeddings.ts';
import { FieldError } from './error-reply.ts';
import { checkModelName, generationId } from './generate-request.ts';
import { jsonReply } from './http-message.ts';
import { plainChatPrompt } from './plain-chat-prompt.ts';
import { poolAll, poolingUsage } from './pooling-run.ts';
import { checkBody, readJsonObject } from './request-body.ts';
import type { Handler } from './routes.ts';
import { FIELD_REQUIRED } from './schema-fields.ts';
import { requirePooling, type Services } from './services.ts';

const { dimensions: _dimensions, normalize: _normalize, ...rewardFields } = poolingFields;

export const rewardSchema = z.object(rewardFields);

export function reward(services: Services): Handler {
  const { scoreOf, generator, clock, limits } = services;
  return async (http, context) => {
    requirePooling(services);
    if (!scoreOf) {
      throw new TroupeError('invalid_request', 'This model has no reward head (score.weight in its checkpoint): it cannot score.');
    }
    const body = checkBody(rewardSchema, readJsonObject(http.body, limits.maxBodyBytes));
    checkModelName(body.model, generator.model);
    const prompt = plainChatPrompt(body, { addGenerationPrompt: false });
    if (!prompt) throw new FieldError('missing_required_parameter', FIELD_REQUIRED, { param: 'messages' });
    const id = generationId('reward', body);
    context.nameAfter(id);
    const { truncate_prompt_tokens: truncatePromptTokens, priority } = body;
    const results = await poolAll(services, { id, prompts: [prompt], truncatePromptTokens, priority }, http, context);
    return jsonReply(200, {
      id,
      object: 'object',
      created: Math.floor(clock.now() / 1000),
      model: generator.model.names[0] ?? 'default',
      data: results.map(({ hidden }, index) => ({ index, object: 'reward', score: Array.from(scoreOf(hidden)) })),
      usage: poolingUsage(results),
    });
  };
}
