/** GET /openapi.json and /docs. Made when they are first asked for: nearly every process is never. */
import { jsonReply, textReply } from '../http-message.ts';
import type { Handler, Routes } from '../routes.ts';
import { docsPage } from './docs-page.ts';
import { type DocumentFacts, type OpenApiDocument, openApiDocument } from './document.ts';

/** @param routes read later, since these routes are among them. */
export function openApiRoutes(routes: () => Routes, facts: DocumentFacts): { readonly json: Handler; readonly page: Handler } {
  let made: OpenApiDocument | null = null;
  const document = (): OpenApiDocument => (made ??= openApiDocument(routes(), facts));
  return {
    json: () => jsonReply(200, document()),
    page: () => textReply(200, docsPage(document()), 'text/html; charset=utf-8'),
  };
}
