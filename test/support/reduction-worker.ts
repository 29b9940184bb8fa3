/** One rank that adds random tensors with the others', in the graph that the decoder uses; answers with a digest of every sum. */
import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { awaitTurn, type GroupSeat, passTurn } from '../../src/actors/follower-port.ts';
import { COLLECTIVE_DOMAIN, CollectiveOps } from '../../src/engine/collective/custom-ops.ts';
import { SharedMemoryCollective } from '../../src/engine/collective/shared-memory.ts';
import { OnnxWriter } from '../../src/engine/graph/onnx-writer.ts';
import { nativeStrings, OrtApi } from '../../src/engine/runner/ort-api.ts';
import { OrtSession } from '../../src/engine/runner/ort-session.ts';
import { systemClock } from '../../src/system-clock.ts';
import { REDUCTION_WIDTH, randomTensor, rowsOfTensor } from './random-tensors.ts';

const { seat, rank, numTensors } = workerData as { seat: GroupSeat; rank: number; numTensors: number };
awaitTurn(seat);
const api = new OrtApi();
const collective = new SharedMemoryCollective({ rank, memory: seat.memory, deadlineMs: seat.deadlineMs, clock: systemClock });
const customOps = new CollectiveOps(api, collective, []);
const graph = new OnnxWriter();
graph.input('x', 'float32', [1, 'rows', REDUCTION_WIDTH]);
const all = graph.node('AllGather', ['x'], 'all', {}, COLLECTIVE_DOMAIN);
graph.node('ReduceSum', [all, graph.shape(0)], 'sum', { keepdims: 0n });
graph.output('sum', 'float32', [1, 'rows', REDUCTION_WIDTH]);
const session = new OrtSession(api, graph.finish(), { device: 'cpu', deviceId: 0, threads: 1, externalDataFolder: '.', customOps });
passTurn(seat);

const [inputs, outputs] = [nativeStrings(['x']), nativeStrings(['sum'])];
const hash = createHash('sha256');
// Native code uses the arrays' addresses: they must be in reach of the garbage collector's roots for as long as that.
const inUse: Float32Array[] = [];
for (let index = 0; index < numTensors; index++) {
  const values = randomTensor(index, rank);
  const sum = new Float32Array(values.length);
  inUse.splice(0, 2, values, sum);
  const shape = [1, rowsOfTensor(index), REDUCTION_WIDTH];
  const tensors = [session.tensorOver(values, 0, shape), session.tensorOver(sum, 0, shape)] as const;
  collective.beginStep(index + 1);
  session.run(inputs, BigUint64Array.of(tensors[0]), outputs, BigUint64Array.of(tensors[1]));
  for (const tensor of tensors) session.releaseTensor(tensor);
  hash.update(sum);
}
session.close();
customOps.close();
parentPort!.postMessage({ digest: hash.digest('hex'), counters: collective.counters });
