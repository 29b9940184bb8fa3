/** The engine process of a node that computes for node 0: ranks without requests. */
import type { ChildLink } from './actors/child-main.ts';
import { startFollowingNode } from './actors/following-node.ts';
import type { ChildAssignment } from './child-assignment.ts';
import { openTransport } from './cluster-link.ts';
import { StartupError } from './core/errors.ts';
import { callNodeZero, collectiveMemoryFor, rendezvousOf, threadsOfRank } from './spawn-ranks.ts';
import { systemClock } from './system-clock.ts';
import { createLogger } from './telemetry/logger.ts';
import { tensorNodesOf } from './tensor-nodes.ts';

export async function runFollower(assignment: ChildAssignment, link: ChildLink): Promise<void> {
  const { plan, id, logFormat } = assignment;
  const { config, modelDir } = plan;
  const nodes = tensorNodesOf(config);
  const log = createLogger({ format: logFormat, level: config.logLevel, role: id });
  const peerId = `${id}.${systemClock.now()}-${process.pid}`;
  const transport = await openTransport(assignment, peerId, log, link);
  let numCalls = 0;
  const node = startFollowingNode({
    rendezvous: rendezvousOf(config, nodes, modelDir),
    call: () => callNodeZero(nodes, transport, `${peerId.replaceAll('.', '-')}-${++numCalls}`),
    runner: {
      modelDir,
      quantization: config.quantization,
      device: config.device,
      threads: threadsOfRank(plan.threads.threads, nodes),
      ...(config.cacheDir !== null && { cacheDir: config.cacheDir }),
      ...(config.onnxruntimeLibrary !== null && { onnxruntimeLibrary: config.onnxruntimeLibrary }),
    },
    memory: collectiveMemoryFor(modelDir, config.tensorParallelSize),
    onLoading: (stage, fraction) => link.report({ type: 'loading', stage, fraction }),
    onReady: ({ numBlocks }) => link.report({ type: 'ready', facts: { numBlocks } }),
  });
  link.onCommand((command) => {
    if (command.type === 'stop') {
      node.stop();
      process.exit(0);
    }
    if (command.type === 'drain') link.report({ type: 'drained' }); // what runs is node 0's
  });
  const error = await node.ended;
  // Node 0 ended in order: its successor, if there is to be one, waits for this node's.
  const message = error?.message ?? 'Node 0 ended.';
  link.report({ type: 'failed', exitCode: error instanceof StartupError ? 2 : 1, message });
}
