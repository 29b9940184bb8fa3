/** Entry of a grammar cell's thread: compiles and serves until it is terminated, and sleeps when there is nothing to do. */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { inspectCheckpoint } from '../checkpoint/inspect.ts';
import { Tokenizer } from '../text/tokenizer.ts';
import { CellBoard } from './grammar-board.ts';
import { type FromCell, GrammarCell, type OpenJob } from './grammar-cell.ts';
import { GrammarLibrary } from './grammar-library.ts';

export interface GrammarWorkerData {
  readonly modelDir: string;
  readonly index: number;
  readonly port: MessagePort;
  readonly board: SharedArrayBuffer;
  readonly rankWake: SharedArrayBuffer;
}

const { modelDir, index, port, ...shared } = workerData as GrammarWorkerData;
const board = new CellBoard(shared.board);
const tell = (message: FromCell): void => port.postMessage(message);

const { generation, config } = inspectCheckpoint(modelDir);
const facts = { vocabSize: config.vocabSize, endIds: generation.eosTokenIds };
const library = await GrammarLibrary.load({ tokenizer: Tokenizer.load(modelDir), ...facts });
const cell = new GrammarCell({ library, ...facts, index, board, rankWake: new Int32Array(shared.rankWake) });
tell({ type: 'ready', ...facts });

for (;;) {
  const seen = board.numWakes(index);
  let hasWorked = false;
  for (let received = receiveMessageOnPort(port); received; received = receiveMessageOnPort(port)) {
    tell(await cell.open(received.message as OpenJob));
    hasWorked = true;
  }
  // Everything that is awaited here has settled: the thread's event loop never turns, so it may sleep.
  if (!(await cell.serve()) && !hasWorked) board.sleep(index, seen);
}
