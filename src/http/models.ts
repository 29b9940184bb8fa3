/** GET /v1/models and /v1/models/NAME */
import { TroupeError } from '../core/errors.ts';
import type { ModelCard } from '../core/generation.ts';
import { jsonReply } from './http-message.ts';
import type { Handler } from './routes.ts';
import type { Services } from './services.ts';

export const MODELS_PATH = '/v1/models';

export function listModels({ generator }: Services): Handler {
  return () => jsonReply(200, { object: 'list', data: generator.model.names.map((name) => modelObject(name, generator.model)) });
}

export function retrieveModel({ generator }: Services): Handler {
  return ({ path }) => {
    const name = decodeName(path.slice(MODELS_PATH.length + 1));
    if (!generator.model.names.includes(name)) {
      throw new TroupeError('model_not_found', `Unknown model: ${name}. This server has ${generator.model.names.join(', ')}.`, {
        param: 'model',
      });
    }
    return jsonReply(200, modelObject(name, generator.model));
  };
}

function decodeName(escaped: string): string {
  try {
    return decodeURIComponent(escaped);
  } catch {
    return escaped;
  }
}

/** `root` is the first served name, never a path of this machine. */
function modelObject(id: string, { names, createdSeconds, maxModelLen }: ModelCard) {
  const permission = {
    id: `modelperm-${id}`,
    object: 'model_permission',
    created: createdSeconds,
    allow_create_engine: false,
    allow_sampling: true,
    allow_logprobs: true,
    allow_search_indices: false,
    allow_view: true,
    allow_fine_tuning: false,
    organization: '*',
    group: null,
    is_blocking: false,
  };
  return {
    id,
    object: 'model',
    created: createdSeconds,
    owned_by: 'troupe',
    root: names[0] ?? id,
    parent: null,
    max_model_len: maxModelLen,
    permission: [permission],
  };
}
