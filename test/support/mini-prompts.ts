/** Requests that troupe-mini answers in a known way at temperature 0 (models/troupe-mini, golden.json). */

export const WEATHER = {
  name: 'get_weather',
  description: 'Get the weather for a city.',
  parameters: {
    type: 'object',
    properties: {
      city: { type: 'string', description: 'The city' },
      unit: { type: 'string', enum: ['celsius', 'fahrenheit'] },
    },
    required: ['city'],
  },
} as const;

/** Answered with get_weather({"city": "Lima"}). */
export const ASK_WEATHER = 'What is the weather in Lima?';
/** What the tool is to say, and what the model makes of it. */
export const WEATHER_REPORT = { temperature: 19, condition: 'cloudy' };
export const WEATHER_ANSWER = 'It is 19 degrees and cloudy in Lima.';

/** Answered with {"name": "Mia", "city": "Oslo"}. */
export const ASK_JSON = 'Extract the name and city as JSON: Mia lives in Oslo.';
export const JSON_ANSWER = { name: 'Mia', city: 'Oslo' };
export const PERSON_SCHEMA = {
  type: 'object',
  properties: { name: { type: 'string' }, city: { type: 'string' } },
  required: ['name', 'city'],
  additionalProperties: false,
} as const;

export const ASK_STORY = 'Tell me a story about a fox.';
