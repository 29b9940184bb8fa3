/** Entry of a grammar cell's thread: compiles and serves until it is terminated, and sleeps when there is nothing to do. */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { inspectCheckpoint } from '../checkpoint/inspect.ts';
import { Tokenizer } from '../text/tokenizer.ts';
import { stepBack } from './background-thread.ts';
import { CellBoard } from './grammar-board.ts';
import { type FromCell, GrammarCell, type OpenJob } from './grammar-cell.ts';
import { GrammarLibrary } from './grammar-library.ts';
import { ownThreadClock } from './thread-clock.ts';

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
const tokenizer = Tokenizer.load(modelDir);
const newLibrary = () => GrammarLibrary.load({ tokenizer, ...facts });
const cell = new GrammarCell({ newLibrary, ...facts, index, board, rankWake: new Int32Array(shared.rankWake) });
const load = async (): Promise<void> => {
  await cell.load();
  tell({ type: 'ready', ...facts, clock: ownThreadClock() });
};

stepBack();
await load();

for (;;) {
  const seen = board.numWakes(index);
  let hasWorked = false;
  for (let received = receiveMessageOnPort(port); received; received = receiveMessageOnPort(port)) {
    const answer = await cell.open(received.message as OpenJob);
    tell(answer);
    if (answer.type === 'refused' && answer.broken === 'reloads') await load();
    hasWorked = true;
  }
  // What `serve` awaits has settled already: the thread's event loop need not turn, so it may sleep.
  if (!(await cell.serve()) && !hasWorked) board.sleep(index, seen);
}
