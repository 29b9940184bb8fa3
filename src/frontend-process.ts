/** A frontend's process: HTTP, tokenizer, templates, journal, routing. It listens before any engine serves. */
import { randomBytes } from 'node:crypto';
import type { ChildLink } from './actors/child-main.ts';
import { ConstraintFormats } from './actors/constraint-formats.ts';
import { ConstraintThread } from './actors/constraint-thread.ts';
import type { EarlyStopOptions } from './actors/early-stop.ts';
import { createFrontend } from './actors/frontend.ts';
import { LongTextEncoder } from './actors/long-text-encoder.ts';
import { inspectCheckpoint } from './checkpoint/inspect.ts';
import { readRewardHead } from './checkpoint/reward-head.ts';
import type { ChildAssignment } from './child-assignment.ts';
import { openTransport } from './cluster-link.ts';
import type { Config } from './config.ts';
import type { Epoch } from './core/ids.ts';
import { OpenGenerations } from './core/open-generations.ts';
import { createApi } from './http/api.ts';
import type { ConcurrencyLimit } from './http/concurrency-gate.ts';
import { type TlsFiles, watchTlsFiles } from './http/tls-files.ts';
import { type HttpServer, serveHttp } from './http/uws-server.ts';
import { keepMemoryLevel } from './level-memory.ts';
import { tlsFilesOf } from './listen-address.ts';
import { loadParsers } from './load-parsers.ts';
import { serverFacts } from './server-facts.ts';
import { systemClock } from './system-clock.ts';
import { createLogger, type Logger } from './telemetry/logger.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { ChatTemplate } from './text/chat-template.ts';
import { modelTraits } from './text/model-parsers.ts';
import { Tokenizer } from './text/tokenizer.ts';

function earlyStopOf({ enableEarlyStop, earlyStopConfig }: Config): EarlyStopOptions | undefined {
  const { enable_early_stop: isEnabled, window_size: windowSize, threshold } = earlyStopConfig;
  return enableEarlyStop || isEnabled ? { windowSize, threshold } : undefined;
}

export async function runFrontend(assignment: ChildAssignment, link: ChildLink): Promise<void> {
  const { plan, name, id, port, version, logFormat, apiKeyDigests, startedAtSeconds, launchedAtMs } = assignment;
  const { config } = plan;
  const epoch: Epoch = [launchedAtMs, process.pid];
  const log = createLogger({ format: logFormat, level: config.logLevel, role: id });
  const metrics = createMetrics({ modelName: plan.modelNames[0]!, frontend: id });
  const { generation, config: model } = inspectCheckpoint(plan.modelDir);
  const { eosTokenIds, ...defaults } = generation;
  const longTexts = new LongTextEncoder(plan.modelDir);
  const constraints = new ConstraintThread();
  const tokenizer = Tokenizer.load(plan.modelDir);
  const chatTemplate =
    config.chatTemplate === null ? ChatTemplate.load(plan.modelDir) : ChatTemplate.ofServer(config.chatTemplate, plan.modelDir);
  const text = {
    longTexts,
    formats: new ConstraintFormats(constraints),
    tokenizer,
    chatTemplate,
    parsers: await loadParsers(config, modelTraits(tokenizer, chatTemplate, model.family), log),
    maxModelLen: plan.maxModelLen,
    vocabSize: model.vocabSize,
    logprobsKind: config.logprobsMode,
    earlyStop: earlyStopOf(config),
    defaults,
    eosTokenIds,
  };
  const transport = await openTransport(assignment, `${id}.${epoch.join('-')}`, log, link);
  const open = new OpenGenerations();
  const frontend = createFrontend({
    open,
    frontendId: id,
    epoch,
    transport,
    clock: systemClock,
    log,
    metrics,
    model: {
      names: plan.modelNames,
      isNameChecked: plan.isNameChecked,
      maxModelLen: plan.maxModelLen,
      createdSeconds: startedAtSeconds,
      vocabSize: model.vocabSize,
      hiddenSize: model.hiddenSize,
    },
    text,
    newSeed: () => randomBytes(8).readBigUInt64LE() >> 1n,
    random: Math.random,
    engineWaitMs: config.engineWaitSeconds * 1000,
    maxNumWaiting: config.schedulerMaxSize,
    requestTimeoutMs: config.requestTimeout === 0 ? undefined : config.requestTimeout * 1000,
    logsThroughput: name === 'frontend-0',
  });
  const scoreOf = readRewardHead(plan.modelDir, model.hiddenSize);
  const api = createApi({
    generator: frontend,
    textTools: frontend.textTools,
    pooler: frontend,
    operations: frontend,
    scoreOf,
    serverFacts: serverFacts(plan),
    metrics,
    logger: log,
    clock: systemClock,
    limits: { maxBodyBytes: config.maxBodyBytes },
    features: {
      enableLogprob: config.enableLogprob,
      maxLogprobs: config.maxLogprobs,
      guidedDecoding: config.guidedDecodingBackend !== 'off',
      runner: config.runner === 'auto' && scoreOf ? 'pooling' : config.runner,
    },
    version,
    scheme: config.sslCertfile === null ? 'http' : 'https',
    edge: { apiKeyDigests, allowedOrigins: config.allowedOrigins, concurrency: concurrencyOf(config), open },
  });
  const tls = tlsFilesOf(config);
  const http = await serveHttp(api, {
    host: config.host,
    port,
    exclusive: config.workers === 1 && !config.reusePort,
    ...(config.uds !== null && { uds: config.uds }),
    ...(tls && { tls }),
  });
  if (tls) watchCertificate(tls, http, log);

  keepMemoryLevel(() => frontend.numLive === 0);
  link.onCommand(async (command) => {
    switch (command.type) {
      case 'drain':
        if (config.reusePort) {
          http.handOver();
          await new Promise<void>((resolve) => void systemClock.setTimeout(resolve, HAND_OVER_MS));
        } else http.drain();
        if (command.graceMs !== null) systemClock.setTimeout(() => frontend.close(), command.graceMs); // fails what still runs
        await frontend.drain();
        link.report({ type: 'drained' });
        break;
      case 'stop':
        frontend.close();
        await http.close();
        await transport.close();
        process.exit(0);
        break;
      case 'serverFailed':
        frontend.setFailed(command.reason);
        break;
    }
  });
  link.report({ type: 'ready', facts: { port: http.port, peerId: transport.peerId } });
}

/** How long requests on connections that stay open are still answered, while another frontend has the port. */
const HAND_OVER_MS = 2000;

function watchCertificate(tls: TlsFiles, http: HttpServer, log: Logger): void {
  watchTlsFiles(tls, {
    onRenewed: async () => {
      await http.renewCertificate();
      log.info({ certificate: tls.certFile }, 'certificate renewed');
    },
    onProblem: (reason) => log.warn({ reason }, 'the old certificate is served on'),
  });
}

function concurrencyOf({ maxConcurrency, maxWaitingTime }: Config): ConcurrencyLimit | null {
  return maxConcurrency === null ? null : { maxConcurrency, maxWaitingMs: Math.max(0, maxWaitingTime) * 1000 };
}
