/** What GET /config-info tells: the settings that are in force and what was found out about the model. Secrets are left out. */
import { type Config, isSecret, SETTING_NAMES } from './config.ts';
import type { ServePlan } from './preflight.ts';

export function serverFacts(plan: ServePlan): Readonly<Record<string, unknown>> {
  return {
    config: publicSettings(plan.config),
    model_config: {
      path: plan.modelDir,
      architecture: plan.architecture,
      num_parameters: plan.numParameters,
      weight_bytes: plan.weightBytes,
      kv_cache_memory_bytes: plan.kvCacheMemoryBytes,
      kv_cache_tokens: plan.kvCacheTokens,
    },
    device_info: { platform: `${process.platform}-${process.arch}`, threads: plan.threads.threads, threads_why: plan.threads.why },
  };
}

/** `maxNumSeqs` → `max_num_seqs`, as FastDeploy and YAML files spell it. */
function publicSettings(config: Config): Record<string, unknown> {
  const names = SETTING_NAMES.filter((name) => !isSecret(name));
  return Object.fromEntries(names.map((name) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), config[name]]));
}
