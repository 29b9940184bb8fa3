/** A NatsTransport with every option defaulted, closed with the test. */
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/system-clock.ts';
import type { NatsTransportOptions } from '../../src/transport/nats-options.ts';
import { NatsTransport } from '../../src/transport/nats-transport.ts';

export async function openNats(
  t: TestContext,
  servers: string | readonly string[],
  peerId: string,
  options: Partial<NatsTransportOptions> = {},
): Promise<NatsTransport> {
  const transport = await NatsTransport.open({ servers: [servers].flat(), peerId, clock: systemClock, cluster: 'test', ...options });
  t.after(() => transport.close());
  return transport;
}

/** Log lines, as `level: message`. */
export function recordingLog(): { readonly lines: string[]; readonly log: NonNullable<NatsTransportOptions['log']> } {
  const lines: string[] = [];
  const take = (level: string) => (facts: object, message: string) => void lines.push(`${level}: ${message} ${JSON.stringify(facts)}`);
  return { lines, log: { info: take('info'), warn: take('warn'), error: take('error') } };
}
