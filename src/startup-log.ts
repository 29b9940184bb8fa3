/** What the supervisor tells whoever started it: progress, where to connect, what to try, and every process that comes and goes. */
import type { SupervisorEvent } from './actors/supervisor.ts';
import { describeExit } from './actors/supervisor-plan.ts';
import { type ServePlan, size } from './preflight.ts';
import type { Logger } from './telemetry/logger.ts';

export interface StartupLogOptions {
  readonly plan: ServePlan;
  readonly version: string;
  readonly address: string;
  /** How a request begins at a shell: curl with what it needs, up to the path. Default: `curl ADDRESS`. */
  readonly curl?: string;
  readonly logFormat: 'text' | 'json';
  readonly logger: Logger;
}

export interface StartupLog {
  tell(event: SupervisorEvent): void;
}

export function createStartupLog(options: StartupLogOptions): StartupLog {
  const { logger, address, logFormat } = options;
  const progress = new Progress(logger);
  const wereReady = new Set<string>();
  let isListening = false;
  let hasEngine = false;

  const ready = (name: string, role: string): void => {
    const wasServing = isListening && hasEngine;
    const isBack = wereReady.has(name);
    wereReady.add(name);
    if (role === 'frontend') {
      if (!isListening) logger.info({ address }, 'listening');
      isListening = true;
    } else {
      progress.reset();
      if (wasServing) logger.info({ child: name }, isBack ? 'engine serves again' : 'engine serves');
      hasEngine = true;
    }
    if (!wasServing && isListening && hasEngine) announce();
  };
  const announce = (): void => {
    if (logFormat === 'text') process.stdout.write(banner(options));
    else logger.info(facts(options), 'serving');
  };

  return {
    tell(event) {
      switch (event.type) {
        case 'child.loading':
          return progress.tell(event.name, event.stage, event.fraction);
        case 'child.ready':
          return ready(event.name, event.role);
        case 'child.started':
          return logger.debug({ child: event.name, childPid: event.pid }, 'process started');
        case 'child.exited': {
          const how = event.failure?.message ?? describeExit(event.exit);
          // A mistake in the settings: the command line tells it, in one line that is for people.
          const isUnstartable = event.failure?.exitCode === 2 && !wereReady.has(event.name);
          if (event.isExpected || isUnstartable) return logger.debug({ child: event.name, childPid: event.pid }, 'process ended');
          return logger.warn({ child: event.name, childPid: event.pid, reason: how }, 'process died');
        }
        case 'child.restarting':
          return logger.warn(
            { child: event.name, inMs: Math.round(event.inMs), numRestarts: event.numRestarts },
            'process is started again',
          );
        case 'budgetSpent':
          return logger.error({ child: event.name, reason: event.reason }, 'giving up');
        case 'draining':
          return logger.info('stopping: running requests finish, new ones are refused; once more stops at once');
        case 'stopping':
        case 'killing':
          return logger.debug(event.type);
        case 'ended':
          return logger[event.exitCode === 2 ? 'debug' : 'info']({ exitCode: event.exitCode }, 'stopped');
        case 'child.drained':
          return logger.debug({ child: event.name }, 'drained');
        default:
          event satisfies never;
      }
    },
  };
}

/** A line for each stage and each quarter of it that takes long enough to be seen. */
class Progress {
  readonly #logger: Logger;
  #last = '';

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  tell(child: string, stage: string, fraction: number): void {
    const percent = Math.floor(fraction * 4) * 25;
    const line = `${stage} ${percent}`;
    if (line === this.#last) return;
    this.#last = line;
    this.#logger.info({ child, percent }, stage);
  }

  reset(): void {
    this.#last = '';
  }
}

const BODY = `{"messages": [{"role": "user", "content": "Hello!"}]}`;

function facts({ plan, version, address, curl = `curl ${address}` }: StartupLogOptions) {
  const { config, threads } = plan;
  return {
    address,
    model: plan.modelNames[0],
    version,
    architecture: plan.architecture,
    parameters: plan.numParameters,
    quantization: config.quantization,
    device: config.device,
    threads: threads.threads,
    threadsWhy: threads.why,
    weights: size(plan.weightBytes),
    kvCache: size(plan.kvCacheMemoryBytes),
    kvCacheTokens: plan.kvCacheTokens,
    maxModelLen: plan.maxModelLen,
    maxNumSeqs: config.maxNumSeqs,
    hints: plan.hints,
    try: `${curl}/v1/chat/completions -H 'Content-Type: application/json' -d '${BODY}'`,
  };
}

/** For a person at a terminal. */
function banner(options: StartupLogOptions): string {
  const { plan } = options;
  const all = facts(options);
  const rows = [
    ['address', all.address],
    [
      'model',
      `${all.model} (${all.architecture}, ${millions(all.parameters)} parameters, weights ${all.weights}, --quantization ${all.quantization})`,
    ],
    ['device', `${all.device}, ${plural(all.threads, 'thread')} (${all.threadsWhy})`],
    [
      'KV cache',
      `${all.kvCache} (${all.kvCacheTokens} tokens), ${plural(all.maxNumSeqs, 'sequence')} together, each up to ${all.maxModelLen} tokens`,
    ],
    ...plan.hints.map((hint) => ['hint', hint]),
    ['try', all.try],
  ] as const;
  const lines = rows.map(([name, value]) => `  ${name!.padEnd(9)} ${value}`);
  return `\ntroupe ${options.version} serves\n${lines.join('\n')}\n\n`;
}

const millions = (count: number): string => (count >= 1e9 ? `${(count / 1e9).toFixed(1)} billion` : `${(count / 1e6).toFixed(1)} million`);
const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
