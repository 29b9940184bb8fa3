/** GET /docs: the OpenAPI document as one page that needs nothing from elsewhere. */
import type { OpenApiDocument, PathOperation } from './document.ts';
import type { JsonSchema } from './request-schema.ts';

export function docsPage({ info, paths }: OpenApiDocument): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => section(method, path, operation)),
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>troupe ${escapeHtml(info.version)}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-top: 1px solid #8884 }
summary { cursor: pointer } code { font-size: .9em } td code { white-space: nowrap }
</style>
<h1>troupe ${escapeHtml(info.version)}</h1>
<p>${escapeHtml(info.description)} For programs: <a href="openapi.json">openapi.json</a>.</p>
${operations.join('\n')}
</html>
`;
}

function section(method: string, path: string, { summary, requestBody }: PathOperation): string {
  const title = `<code>${method.toUpperCase()} ${escapeHtml(path)}</code> ${escapeHtml(summary)}`;
  if (!requestBody) return `<p>${title}</p>`;
  const { schema, example } = requestBody.content['application/json'];
  const fields = Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>);
  const rows = fields.map(([name, field]) => {
    const fallback = field.default === undefined ? '' : JSON.stringify(field.default);
    return `<tr><td><code>${escapeHtml(name)}</code><td>${escapeHtml(kindOf(field))}<td>${escapeHtml(fallback)}<td>${escapeHtml(String(field.description ?? ''))}`;
  });
  return `<details><summary>${title}</summary>
<pre>${escapeHtml(JSON.stringify(example, null, 2))}</pre>
<table><tr><th>field<th>kind<th>default<th>meaning${rows.join('\n')}</table></details>`;
}

/** `integer 1 … 128`, `text or list`. */
function kindOf(schema: JsonSchema): string {
  const forms = (schema.anyOf ?? schema.oneOf) as readonly JsonSchema[] | undefined;
  if (forms) return [...new Set(forms.map(kindOf))].join(' or ');
  if (schema.enum) return (schema.enum as readonly unknown[]).join(', ');
  const { minimum, maximum, exclusiveMinimum } = schema;
  const from = exclusiveMinimum === undefined ? minimum : `> ${exclusiveMinimum}`;
  const range = from === undefined && maximum === undefined ? '' : ` ${from ?? ''} … ${maximum ?? ''}`;
  const type = schema.type ?? (schema.$ref ? 'object' : 'any');
  return `${Array.isArray(type) ? type.join(' or ') : type}${range}`.trim();
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
