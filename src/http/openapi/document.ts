/** GET /openapi.json: the API as an OpenAPI 3.1 document, made from the route table and the schemas that check the requests. */
import { OPEN_ROUTES } from '../api-keys.ts';
import type { Routes } from '../routes.ts';
import { FIELD_DOCS } from './field-docs.ts';
import { OPERATIONS, type Operation, SUBPATHS } from './operations.ts';
import { type JsonSchema, requestSchema } from './request-schema.ts';

export interface DocumentFacts {
  readonly version: string;
  /** Whether requests need an API key. */
  readonly needsKey: boolean;
}

export interface OpenApiDocument {
  readonly openapi: '3.1.0';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, PathOperation>>>>;
  readonly [key: string]: unknown;
}

export interface PathOperation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly JsonSchema[];
  readonly requestBody?: {
    readonly required: true;
    readonly content: { readonly 'application/json': { readonly schema: JsonSchema; readonly example: unknown } };
  };
  readonly responses: Readonly<Record<string, unknown>>;
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
}

export function openApiDocument(routes: Routes, { version, needsKey }: DocumentFacts): OpenApiDocument {
  const keys = [{ bearer: [] }, { apiKey: [] }];
  return {
    openapi: '3.1.0',
    info: {
      title: 'troupe',
      version,
      description:
        'An OpenAI-compatible LLM server. In request bodies, null means the same as leaving the field out, and unknown fields are ignored.',
    },
    servers: [{ url: '/' }],
    security: needsKey ? keys : [...keys, {}],
    paths: pathsOf(routes),
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      },
      schemas: { Error: ERROR, Message: MESSAGE },
    },
  };
}

const ERROR = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['message', 'type', 'param', 'code'],
      properties: {
        message: { type: 'string', description: 'What happened, and what to do.' },
        type: { type: 'string' },
        param: { type: ['string', 'null'], description: 'The field at fault, spelled like messages[0].content.' },
        code: { type: ['string', 'null'] },
      },
    },
  },
} as const;

const MESSAGE = {
  type: 'object',
  required: ['role'],
  properties: {
    role: { type: 'string', minLength: 1 },
    content: {
      anyOf: [
        { type: 'string' },
        { type: 'null' },
        {
          type: 'array',
          items: { type: 'object', required: ['type', 'text'], properties: { type: { const: 'text' }, text: { type: 'string' } } },
        },
      ],
    },
  },
  description: 'Other fields are handed to the chat template.',
} as const;

function pathsOf(routes: Routes): Record<string, Record<string, PathOperation>> {
  const paths: Record<string, Record<string, PathOperation>> = {};
  for (const [route, methods] of Object.entries(routes)) {
    for (const method of Object.keys(methods)) {
      for (const end of SUBPATHS[`${method} ${route}`] ?? ['']) {
        const path = (route + end).replace('*', `{${parameterOf(route)}}`);
        paths[path] = { ...paths[path], [method.toLowerCase()]: operationOf(route + end, method) };
      }
    }
  }
  return paths;
}

/** `/v1/models/*` → `model`. */
function parameterOf(route: string): string {
  return route.startsWith('/v1/models') ? 'model' : 'id';
}

function operationOf(route: string, method: string): PathOperation {
  const known: Operation = OPERATIONS[`${method} ${route}`] ?? { tag: 'Operation', summary: `${method} ${route}` };
  const { body, tag, summary, streams, reply = 'application/json' } = known;
  const words = `${method.toLowerCase()} ${route}`.split(/[^A-Za-z0-9]+/).filter((word) => word !== '');
  const schema = body && withDocs(requestSchema(body.schema, body.fields));
  return {
    operationId:
      words.map((word, i) => (i === 0 ? word : word.charAt(0).toUpperCase() + word.slice(1))).join('') +
      (route.includes('*') ? 'ById' : ''),
    summary,
    tags: [tag],
    ...(route.includes('*') && { parameters: [{ name: parameterOf(route), in: 'path', required: true, schema: { type: 'string' } }] }),
    ...(body && schema && { requestBody: { required: true, content: { 'application/json': { schema, example: body.example } } } }),
    responses: {
      200: {
        description: streams ? 'The reply, or its stream.' : 'The reply.',
        content: { [reply]: {}, ...(streams && { 'text/event-stream': { schema: { type: 'string' } } }) },
      },
      default: { description: 'What went wrong.', content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } } },
    },
    ...(OPEN_ROUTES.has(route) && { security: [] }),
  };
}

/** A description for each field that has none of its own. */
function withDocs(schema: JsonSchema): JsonSchema {
  const properties = Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>);
  const described = properties.map(([name, field]) => [name, { ...(FIELD_DOCS[name] && { description: FIELD_DOCS[name] }), ...field }]);
  return { ...schema, properties: Object.fromEntries(described) };
}
