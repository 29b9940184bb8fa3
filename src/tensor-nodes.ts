/** Which part of a tensor-parallel group this server is. */
import { networkInterfaces } from 'node:os';
import type { Config } from './config.ts';
import { StartupError } from './core/errors.ts';

export interface TensorNodes {
  readonly numNodes: number;
  readonly node: number;
  /** Ranks of each node. */
  readonly ranksPerNode: number;
  /** Frames go through the NATS servers, under this name; null = TCP. */
  readonly natsName: string | null;
  /** Where node 0 listens for TCP; empty otherwise. */
  readonly host: string;
  readonly port: number;
}

const DEFAULT_PORT = 8300;

/** @throws StartupError when the settings do not fit together. */
export function tensorNodesOf(config: Config, ownAddresses: readonly string[] = addressesOfThisMachine()): TensorNodes {
  const { tensorParallelSize: size, ips } = config;
  const numNodes = ips?.length ?? config.nnodes;
  if (numNodes === 1) return { numNodes, node: 0, ranksPerNode: size, natsName: null, host: '', port: 0 };
  const node = ips === null ? config.nodeRank : ips.findIndex((ip) => ownAddresses.includes(ip));
  if (node < 0) throw new StartupError(`None of --ips ${ips!.join(',')} is an address of this machine (${ownAddresses.join(', ')}).`);
  if (node >= numNodes) throw new StartupError(`--node-rank ${node} is not below --nnodes ${numNodes}.`);
  if (size % numNodes !== 0) throw new StartupError(`--tensor-parallel-size ${size} cannot be spread evenly over ${numNodes} nodes.`);
  if (config.dataParallelSize !== 1)
    throw new StartupError(`--data-parallel-size ${config.dataParallelSize} and several nodes of one model do not go together.`);
  const address = config.masterAddress ?? (ips ? `${ips[0]}:${DEFAULT_PORT}` : null);
  const natsName = /^nats:([A-Za-z][\w-]*)$/.exec(address ?? '')?.[1] ?? null;
  if (natsName !== null) return { numNodes, node, ranksPerNode: size / numNodes, natsName, host: '', port: 0 };
  const { host = '', port = '' } = /^\[?(?<host>[^\]]+?)\]?:(?<port>\d+)$/.exec(address ?? '')?.groups ?? {};
  if (host === '' || Number(port) > 65_535)
    throw new StartupError('Several nodes need --master-address HOST:PORT, the same on all of them.');
  return { numNodes, node, ranksPerNode: size / numNodes, natsName, host, port: Number(port) };
}

/** Whether this server only computes for another node, and has no API of its own. */
export const isFollowerNode = (config: Config): boolean => tensorNodesOf(config).node > 0;

const addressesOfThisMachine = (): string[] =>
  Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
