/** What the supervisor tells whoever started it: progress, where to connect, what to try, and every process that comes and goes. */
import type { SupervisorEvent } from './actors/supervisor.ts';
import { describeExit } from './actors/supervisor-plan.ts';
import { type Command, type ServePlan, size } from './preflight.ts';
import type { Logger } from './telemetry/logger.ts';

export interface StartupLogOptions {
  readonly plan: ServePlan;
  readonly version: string;
  readonly address: string;
  /** How a request begins at a shell: curl with what it needs, up to the path. Default: `curl ADDRESS`. */
  readonly curl?: string;
  readonly logFormat: 'text' | 'json';
  readonly logger: Logger;
  /** serve. */
  readonly command?: Command;
  /** Where the others are found: `cluster default at nats://…`; absent = there are none. */
  readonly cluster?: string | undefined;
}

export interface StartupLog {
  tell(event: SupervisorEvent): void;
}

export function createStartupLog(options: StartupLogOptions): StartupLog {
  const { logger, address, logFormat } = options;
  const progress = new Progress(logger);
  const wereReady = new Set<string>();
  const { command = 'serve' } = options;
  // Whether everything of this kind that this node is to have was ready once.
  let isListening = command === 'engine';
  let hasEngine = command === 'frontend';

  const ready = (name: string, role: string): void => {
    const wasServing = isListening && hasEngine;
    const isBack = wereReady.has(name);
    wereReady.add(name);
    if (role === 'frontend') {
      if (!isListening) logger.info({ address }, 'listening');
      isListening = true;
    } else if (role === 'engine') {
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

function facts(options: StartupLogOptions) {
  const { plan, version, address, curl = `curl ${address}`, command = 'serve', cluster } = options;
  return {
    ...(command !== 'engine' && { address }),
    model: plan.modelNames[0],
    version,
    ...(cluster !== undefined && { cluster }),
    ...(command !== 'frontend' && engineFacts(plan)),
    ...(command !== 'engine' && { try: `${curl}/v1/chat/completions -H 'Content-Type: application/json' -d '${BODY}'` }),
  };
}

function engineFacts(plan: ServePlan) {
  const { config, threads } = plan;
  return {
    engines: config.dataParallelSize,
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
  };
}

/** For a person at a terminal. */
function banner(options: StartupLogOptions): string {
  const { plan, command = 'serve', cluster } = options;
  const { address, model, try: example } = facts(options);
  const rows = [
    ...(address === undefined ? [] : [['address', address]]),
    ...(cluster === undefined ? [] : [['cluster', cluster]]),
    ...(command === 'frontend' ? [['model', `${model}; engines elsewhere compute it`]] : engineRows(plan)),
    ...(example === undefined ? [] : [['try', example]]),
  ] as const;
  const lines = rows.map(([name, value]) => `  ${name!.padEnd(9)} ${value}`);
  const what = { serve: 'serves', engine: 'computes', frontend: 'listens' }[command];
  return `\ntroupe ${options.version} ${what}\n${lines.join('\n')}\n\n`;
}

function engineRows(plan: ServePlan): string[][] {
  const all = engineFacts(plan);
  const engines = all.engines === 1 ? '' : `${all.engines} engines, each with `;
  return [
    [
      'model',
      `${plan.modelNames[0]} (${all.architecture}, ${millions(all.parameters)} parameters, weights ${all.weights}, --quantization ${all.quantization})`,
    ],
    ['device', `${engines}${all.device}, ${plural(all.threads, 'thread')} (${all.threadsWhy})`],
    [
      'KV cache',
      `${all.kvCache} (${all.kvCacheTokens} tokens), ${plural(all.maxNumSeqs, 'sequence')} together, each up to ${all.maxModelLen} tokens`,
    ],
    ...plan.hints.map((hint) => ['hint', hint]),
  ];
}

const millions = (count: number): string => (count >= 1e9 ? `${(count / 1e9).toFixed(1)} billion` : `${(count / 1e6).toFixed(1)} million`);
const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
