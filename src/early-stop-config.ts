/** `--early-stop-config`: FastDeploy's JSON object, checked. */
import { z } from 'zod';

const schema = z.strictObject({
  enable_early_stop: z.boolean().default(false),
  strategy: z.literal('repetition', { error: 'the only strategy is "repetition"' }).default('repetition'),
  window_size: z.number().int().min(1).max(1_000_000).default(3000),
  threshold: z.number().min(0).max(1).default(0.99),
});

/** A text that holds the object (flags, environment), or the object itself (a config file). Its keys keep FastDeploy's spelling. */
export const earlyStopConfig = z.union([z.string(), z.record(z.string(), z.unknown())]).transform((given, context) => {
  const result = schema.safeParse(typeof given === 'string' ? readJson(given) : given);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue?.path.length ? `${issue.path.join('.')}: ` : '';
  context.addIssue({
    code: 'custom',
    message: `must be a JSON object such as {"strategy":"repetition","window_size":3000,"threshold":0.99} (${where}${issue?.message})`,
  });
  return z.NEVER;
});

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
