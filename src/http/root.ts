/** GET /: what this server is and how to talk to it; JSON for machines, text for people. GET /version. GET /load: the API's routes. */
import { jsonReply, textReply } from './http-message.ts';
import type { Handler, Routes } from './routes.ts';
import type { Services } from './services.ts';

export function root({ generator, version, scheme = 'http' }: Services, routes: () => Routes): Handler {
  return ({ headers }) => {
    const model = generator.model.names[0] ?? 'default';
    const endpoints = Object.entries(routes()).map(([path, methods]) => `${Object.keys(methods).join(', ')} ${path}`);
    if (headers.accept?.includes('application/json')) return jsonReply(200, { name: 'troupe', version, model, endpoints });
    const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello!' }] });
    const curl = `curl ${scheme}://${headers.host ?? '127.0.0.1:8188'}/v1/chat/completions -H 'Content-Type: application/json' -d '${body}'`;
    return textReply(200, [`troupe ${version}, an OpenAI-compatible server for ${model}`, '', ...endpoints, '', curl, ''].join('\n'));
  };
}

export function versionInfo({ version }: Services): Handler {
  return () => jsonReply(200, { version });
}

export function load(routes: () => Routes): Handler {
  return () => {
    const entries = Object.entries(routes()).filter(([path]) => path.startsWith('/v1'));
    return jsonReply(200, { routes: entries.map(([path, methods]) => ({ path, methods: Object.keys(methods).sort(), tags: [] })) });
  };
}
