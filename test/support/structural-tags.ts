/** Structural tags as the engine gets them: JSON text. */
export const structuralTag = (format: object): string => JSON.stringify({ type: 'structural_tag', format });

export const ofRegex = (pattern: string): string => structuralTag({ type: 'regex', pattern });
export const ofSchema = (schema: unknown): string => structuralTag({ type: 'json_schema', json_schema: schema });
export const ofGrammar = (grammar: string): string => structuralTag({ type: 'grammar', grammar });
export const ofText = (value: string): string => structuralTag({ type: 'const_string', value });
