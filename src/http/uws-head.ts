/** Status line and headers of a reply. */

import type { HttpResponse } from 'uWebSockets.js';
import { STATUS_CODES } from 'node:http';
import type { HttpReply } from './http-message.ts';

/** @param closes whether to write `Connection: close`; `end(body, true)` writes it itself for whole replies. */
export function writeHead(response: HttpResponse, { status, headers }: HttpReply, closes: boolean): void {
  response.writeStatus(`${status} ${STATUS_CODES[status] ?? 'Unknown'}`);
  for (const [name, value] of Object.entries(headers)) if (name !== 'connection') response.writeHeader(name, value);
  if (closes) response.writeHeader('connection', 'close');
}
