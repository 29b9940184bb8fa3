/** The threads of an engine process: one rank with the whole model, or several that share it, on this machine or several. */
import { createHash, randomBytes } from 'node:crypto';
import { spawnLeadingNode } from './actors/leading-node.ts';
import type { Rendezvous } from './actors/node-rendezvous.ts';
import { exchangedRowBytes, spawnRankGroup } from './actors/rank-group.ts';
import type { RankPort } from './actors/rank-port.ts';
import { type RankSpec, spawnRankThread } from './actors/thread-rank.ts';
import { weightsFingerprint } from './checkpoint/fingerprint.ts';
import { inspectCheckpoint } from './checkpoint/inspect.ts';
import { readModelConfig } from './checkpoint/model-config.ts';
import type { Config } from './config.ts';
import { StartupError } from './core/errors.ts';
import { type CollectiveMemory, newCollectiveMemory } from './engine/collective/shared-memory.ts';
import { systemClock } from './system-clock.ts';
import { type TensorNodes, tensorNodesOf } from './tensor-nodes.ts';
import { connectForFrames, type FrameLink, type FrameServer, listenForFrames } from './transport/frame-link.ts';
import { groupCalls } from './transport/subjects.ts';
import type { Transport } from './transport/transport.ts';
import { callOnTransport, listenOnTransport } from './transport/transport-frame-link.ts';

/**
 * The ranks share the processors that `spec` names. @param wake the counter on which rank 0 sleeps. @param transport for nodes that meet
 * on the NATS servers.
 */
export function spawnRanks(spec: RankSpec, config: Config, wake: SharedArrayBuffer, transport: Transport): RankPort {
  const size = config.tensorParallelSize;
  if (size === 1) return spawnRankThread(spec, wake);
  const nodes = tensorNodesOf(config);
  const memory = collectiveMemoryFor(spec.runner.modelDir, size);
  const shared = { ...spec, runner: { ...spec.runner, threads: threadsOfRank(spec.runner.threads, nodes) } };
  const deadlineMs = config.collectiveTimeout * 1000;
  if (nodes.numNodes === 1) return spawnRankGroup({ spec: shared, size, memory, deadlineMs, wake });
  return spawnLeadingNode({
    rendezvous: rendezvousOf(config, nodes, spec.runner.modelDir),
    spec: shared,
    plan: {
      groupEpoch: spec.groupEpoch,
      layout: spec.runner.layout,
      kvCacheMemoryBytes: spec.runner.kvCacheMemoryBytes,
      maxNumBatchedTokens: spec.runner.maxNumBatchedTokens,
      collectiveDeadline: deadlineMs,
    },
    listen: (take) => listen(nodes, transport, take),
    random: () => randomBytes(16).toString('hex'),
    memory,
    wake,
  });
}

async function listen(nodes: TensorNodes, transport: Transport, take: (link: FrameLink) => void): Promise<FrameServer> {
  if (nodes.natsName !== null) return listenOnTransport(transport, groupCalls(nodes.natsName), systemClock, take);
  try {
    return await listenForFrames(nodes.host, nodes.port, systemClock, take);
  } catch (cause) {
    const { code = 'error' } = cause as NodeJS.ErrnoException;
    throw new StartupError(`Node 0 cannot listen on --master-address ${nodes.host}:${nodes.port} (${code}).`, { cause });
  }
}

/** Calls node 0. @param callerId a subject token of this process alone. @throws Error while it does not answer. */
export function callNodeZero(nodes: TensorNodes, transport: Transport, callerId: string): Promise<FrameLink> {
  if (nodes.natsName === null) return connectForFrames(nodes.host, nodes.port, systemClock);
  return callOnTransport(transport, groupCalls(nodes.natsName), callerId, systemClock);
}

/** The slots and the board of a group's ranks. */
export function collectiveMemoryFor(modelDir: string, size: number): CollectiveMemory {
  const { hiddenSize, vocabSize } = readModelConfig(modelDir);
  return newCollectiveMemory(size, exchangedRowBytes(hiddenSize, vocabSize, size));
}

export const threadsOfRank = (threads: number, { ranksPerNode }: TensorNodes): number => Math.max(1, Math.floor(threads / ranksPerNode));

/** How this node meets the others. */
export function rendezvousOf(config: Config, nodes: TensorNodes, modelDir: string): Omit<Rendezvous, 'onWaiting'> {
  const checkpoint = inspectCheckpoint(modelDir);
  const content = weightsFingerprint(checkpoint.config, checkpoint.weights);
  return {
    clock: systemClock,
    node: nodes.node,
    numNodes: nodes.numNodes,
    size: config.tensorParallelSize,
    model: createHash('sha256').update(`${content} ${config.quantization}`).digest('hex').slice(0, 32),
    secret: config.groupSecret ?? '',
    deadlineMs: config.nodeWaitSeconds * 1000,
    address: nodes.natsName === null ? `${nodes.host}:${nodes.port}` : `nats:${nodes.natsName}`,
  };
}
