/** One line of a batch: OpenAI's and FastDeploy's form, checked before it is sent, and what is written for it. */
import { randomUUID } from 'node:crypto';

export interface BatchRequest {
  readonly customId: string;
  /** A path of this server; never another address. */
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface BatchProblem {
  readonly customId: string | null;
  readonly message: string;
}

/** What a line may ask for. */
const BATCH_PATHS = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/v1/reward', '/v1/responses', '/v1/messages'];

/** @param number of the line, from 1, for messages. */
export function parseBatchLine(line: string, number: number): BatchRequest | BatchProblem {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    return { customId: null, message: `Line ${number} is not valid JSON: ${(error as SyntaxError).message}` };
  }
  if (!isObject(value)) return { customId: null, message: `Line ${number} is not a JSON object.` };
  const { custom_id: customId, method, url, body } = value;
  const wrong = (message: string): BatchProblem => ({
    customId: typeof customId === 'string' ? customId : null,
    message: `Line ${number}: ${message}`,
  });
  if (typeof customId !== 'string') return wrong('`custom_id` must be text.');
  if (method !== 'POST') return wrong('`method` must be "POST".');
  if (typeof url !== 'string' || !BATCH_PATHS.includes(url)) return wrong(`\`url\` must be one of ${BATCH_PATHS.join(', ')}.`);
  if (!isObject(body)) return wrong('`body` must be a JSON object.');
  if (body.stream) return wrong('`stream` is not available in a batch: leave it out.');
  return { customId, path: url, body };
}

export function isProblem(line: BatchRequest | BatchProblem): line is BatchProblem {
  return 'message' in line;
}

/** What the server answered. */
export interface BatchReply {
  readonly status: number;
  readonly requestId: string | null;
  readonly body: unknown;
}

/** An output line: a reply that is an error stands in `response`, and its error object in `error` too. */
export function replyLine({ customId }: BatchRequest, { status, requestId, body }: BatchReply): string {
  const response = { status_code: status, request_id: requestId ?? batchId('batch-'), body };
  const error = status < 400 ? null : isObject(body) && isObject(body.error) ? body.error : { message: `HTTP ${status}` };
  return JSON.stringify({ id: batchId(), custom_id: customId, response, error });
}

export function problemLine({ customId, message }: BatchProblem): string {
  const error = { message, type: 'invalid_request_error', param: null, code: 'invalid_line' };
  return JSON.stringify({ id: batchId(), custom_id: customId, response: null, error });
}

function batchId(kind = ''): string {
  return `troupe-${kind}${randomUUID().replaceAll('-', '')}`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
