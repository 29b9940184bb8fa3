/** Requests over TLS or to a Unix socket, which `fetch` cannot be told about. */
import { type RequestOptions as HttpOptions, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import type { TLSSocket } from 'node:tls';

export interface SecureReply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  /** Common name of the server's certificate; null without TLS. */
  readonly commonName: string | null;
}

export interface OpenReply {
  readonly message: IncomingMessage;
  /** Reads the rest. */
  text(): Promise<string>;
}

export async function secureCall(url: string, options: RequestOptions, body?: unknown): Promise<SecureReply> {
  const { message, text } = await openSecure(url, options, body);
  const { socket } = message;
  const certificate = 'getPeerCertificate' in socket ? (socket as TLSSocket).getPeerCertificate() : null;
  const commonName = certificate ? String(certificate.subject?.CN) : null;
  return { status: message.statusCode ?? 0, headers: message.headers, text: await text(), commonName };
}

/** Resolves with the headers. On a connection of its own unless an agent is given. */
export function openSecure(url: string, options: RequestOptions & HttpOptions, body?: unknown): Promise<OpenReply> {
  return new Promise((resolve, reject) => {
    const request = url.startsWith('https:') ? httpsRequest : httpRequest;
    const method = body === undefined ? 'GET' : 'POST';
    const call = request(url, { agent: false, method, ...options } as RequestOptions, (message) => {
      message.setEncoding('utf8');
      const text = async () => {
        let all = '';
        for await (const piece of message) all += piece;
        return all;
      };
      resolve({ message, text });
    });
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** One connection that is kept. */
export const keepAlive = (): Agent => new Agent({ keepAlive: true, maxSockets: 1 });
