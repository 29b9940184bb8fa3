/** A grammar cell in its worker thread, as the host holds it. */
import { MessageChannel } from 'node:worker_threads';
import type { FromCell, OpenJob } from './grammar-cell.ts';
import type { GrammarWorkerData } from './grammar-worker.ts';
import { startWorker } from './start-worker.ts';

export interface CellLink {
  post(job: OpenJob): void;
  onMessage(handler: (message: FromCell) => void): void;
  /** The thread ended without `terminate`. */
  onExit(handler: (reason: string) => void): void;
  /** Resolves when it is gone and touches no memory any more. */
  terminate(): Promise<void>;
}

export function spawnGrammarThread(data: Omit<GrammarWorkerData, 'port'>): CellLink {
  const { port1: port, port2 } = new MessageChannel();
  const worker = startWorker('grammar-worker', {
    workerData: { ...data, port: port2 } satisfies GrammarWorkerData,
    transferList: [port2],
  });
  let crash: string | null = null;
  let isAskedToEnd = false;
  worker.on('error', (error) => {
    crash = error instanceof Error ? error.message : String(error);
  });
  return {
    post: (job) => port.postMessage(job),
    onMessage: (handler) => void port.on('message', handler),
    onExit: (handler) =>
      void worker.on('exit', (code) => {
        port.close();
        if (!isAskedToEnd) handler(crash ?? `its thread ended with code ${code}`);
      }),
    terminate: async () => {
      isAskedToEnd = true;
      await worker.terminate();
    },
  };
}
