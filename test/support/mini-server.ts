/** troupe-mini in a real rank thread behind a frontend, on real time; only the transport stays in the process. */
import { startEngineGroup } from '../../src/actors/engine-group.ts';
import { createFrontend } from '../../src/actors/frontend.ts';
import { GrammarHost } from '../../src/actors/grammar-host.ts';
import type { GrammarHostOptions } from '../../src/actors/grammar-jobs.ts';
import type { RankPort } from '../../src/actors/rank-port.ts';
import { newRankWake, type RankSpec, spawnRankThread } from '../../src/actors/thread-rank.ts';
import type { Epoch } from '../../src/core/ids.ts';
import { systemClock } from '../../src/system-clock.ts';
import { ChatTemplate } from '../../src/text/chat-template.ts';
import { LoopbackBus } from '../../src/transport/loopback.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { testTokenizer } from './cluster.ts';
import { silentLog } from './silent-log.ts';

export const MINI_DIR = new URL('../../models/troupe-mini', import.meta.url).pathname;
const MAX_MODEL_LEN = 512;

export const miniRankSpec = (groupEpoch: Epoch, modelDir = MINI_DIR): RankSpec => ({
  runner: {
    modelDir,
    quantization: 'none',
    device: 'cpu',
    threads: 1,
    layout: { maxNumSeqs: 4, maxModelLen: MAX_MODEL_LEN, blockSize: 16 },
    kvCacheMemoryBytes: 64 * 2 ** 20,
    maxNumBatchedTokens: 64,
  },
  groupEpoch,
  maxNumBatchedTokens: 64,
  enablePrefixCaching: true,
  enableChunkedPrefill: true,
  maxNumWaiting: 16,
});

export async function startMiniServer(
  grammarOptions: Partial<GrammarHostOptions> = {},
  wrap: (transport: Transport) => Transport = (transport) => transport,
) {
  const bus = new LoopbackBus({ clock: systemClock });
  const ranks: RankPort[] = [];
  const grammarHosts: GrammarHost[] = [];
  const frontend = createFrontend({
    frontendId: 'frontend-0',
    epoch: [1, 1],
    transport: wrap(bus.connect('frontend')),
    clock: systemClock,
    log: silentLog,
    model: { names: ['troupe-mini'], isNameChecked: false, maxModelLen: MAX_MODEL_LEN, createdSeconds: 0, vocabSize: 4096 },
    text: {
      tokenizer: testTokenizer(),
      chatTemplate: ChatTemplate.load(MINI_DIR),
      maxModelLen: MAX_MODEL_LEN,
      vocabSize: 4096,
      defaults: { temperature: 0.6, topK: 20, topP: 0.95 },
      eosTokenIds: [2, 0],
    },
    newSeed: () => 1n,
  });
  const startGroup = (incarnation: number) => {
    const rankWake = newRankWake();
    const grammars = new GrammarHost({ clock: systemClock, log: silentLog, modelDir: MINI_DIR, rankWake, ...grammarOptions });
    grammarHosts.push(grammars);
    return startEngineGroup({
      engineId: 'engine-0',
      epoch: [incarnation, 1],
      transport: bus.connect(`engine-${incarnation}`),
      clock: systemClock,
      log: silentLog,
      maxNumSeqs: 4,
      grammars,
      spawnRank: () => {
        const rank = spawnRankThread(miniRankSpec([incarnation, 1]), rankWake);
        ranks.push(rank);
        return rank;
      },
    });
  };
  const close = (): void => {
    frontend.close();
    for (const rank of ranks) rank.terminate();
    for (const host of grammarHosts) host.close();
  };
  return { bus, frontend, ranks, grammarHosts, startGroup, close };
}
