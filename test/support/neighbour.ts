/** Somebody else's streams, read in a thread of its own so that the test's work does not show in their gaps. */
import { Worker } from 'node:worker_threads';
import { ASK_STORY } from './mini-prompts.ts';

export interface Neighbour {
  stop(): void;
  /** Milliseconds between the events of each stream; settles after `stop`. Rejects when a stream failed. */
  readonly gaps: Promise<readonly number[]>;
}

const SCRIPT = `
const { parentPort, workerData: { url, body } } = require('node:worker_threads');
let isStopped = false;
parentPort.once('message', () => { isStopped = true; });
(async () => {
  const gaps = [];
  while (!isStopped) {
    const reply = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    if (reply.status !== 200) throw new Error('the neighbour got ' + reply.status);
    let last = null;
    for await (const _ of reply.body) {
      const now = performance.now();
      if (last !== null) gaps.push(now - last);
      last = now;
      if (isStopped) break;
    }
  }
  parentPort.postMessage(gaps);
})();
`;

export function startNeighbour(serverUrl: string): Neighbour {
  const body = JSON.stringify({ messages: [{ role: 'user', content: ASK_STORY }], stream: true, max_tokens: 400, ignore_eos: true });
  const worker = new Worker(SCRIPT, { eval: true, workerData: { url: `${serverUrl}/v1/chat/completions`, body } });
  const gaps = new Promise<readonly number[]>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  gaps.catch(() => {}); // told to whoever awaits it
  return { stop: () => worker.postMessage('stop'), gaps };
}
