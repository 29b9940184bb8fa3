/** A real Prometheus that scrapes one address every second, ended with the test. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { probePort } from '../../src/free-port.ts';
import { temporaryFolder } from './checkpoint-folder.ts';

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export class Prometheus {
  readonly #url: string;

  static async start(t: TestContext, target: string): Promise<Prometheus> {
    const folder = temporaryFolder(t);
    const configFile = join(folder, 'prometheus.yml');
    const job = { job_name: 'troupe', static_configs: [{ targets: [new URL(target).host] }] };
    // JSON is YAML.
    writeFileSync(configFile, JSON.stringify({ global: { scrape_interval: '1s', scrape_timeout: '1s' }, scrape_configs: [job] }));
    const port = await probePort('127.0.0.1', 0);
    const args = [`--config.file=${configFile}`, `--storage.tsdb.path=${join(folder, 'data')}`, `--web.listen-address=127.0.0.1:${port}`];
    const child = spawn('prometheus', args, { stdio: 'ignore' });
    const exited = once(child, 'exit');
    t.after(async () => {
      child.kill('SIGKILL');
      await exited;
    });
    return new Prometheus(`http://127.0.0.1:${port}`);
  }

  private constructor(url: string) {
    this.#url = url;
  }

  /** The instant vector of a query; empty while Prometheus is starting or knows nothing of it. */
  async query(expression: string): Promise<Sample[]> {
    try {
      const reply = await fetch(`${this.#url}/api/v1/query?query=${encodeURIComponent(expression)}`);
      if (reply.status !== 200) return [];
      const { data } = (await reply.json()) as { data: { result: { metric: Record<string, string>; value: [number, string] }[] } };
      return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
    } catch {
      return [];
    }
  }
}
