/** Starts a worker thread from a file beside this one, compiled or not. */
import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
 * From the compiled files the thread's entry is `<name>.js`. From the sources it is `<name>.ts` and needs tsx, which a thread does not
 * inherit from its parent.
 */
export function startWorker(name: string, options: WorkerOptions): Worker {
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL(`./${name}.js`, import.meta.url), { ...options, name });
  const tsx = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  const entry = JSON.stringify(new URL(`./${name}.ts`, import.meta.url).href);
  const script = `import(${tsx}).then(({ register }) => { register(); return import(${entry}); });`;
  return new Worker(script, { ...options, name, eval: true });
}
