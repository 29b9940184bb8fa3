/**
 * What a process tells NATS's own tools of itself (`nats micro ls`, `nats micro info`): NATS's micro-service protocol, its questions
 * only. Nothing is routed by it.
 */
import type { NatsConnection } from '@nats-io/transport-node';

export interface ServiceFacts {
  /** Letters, digits, `-` and `_`: `troupe-frontend`, `troupe-engine`. */
  readonly name: string;
  readonly version: string;
  readonly description: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Role, model, epoch: shown, never interpreted. */
  readonly metadata: Readonly<Record<string, string>>;
}

const VERBS = ['PING', 'INFO', 'STATS'] as const;

/** Answers until the connection closes. `id`: unique among all services. */
export function answerServiceQuestions(connection: NatsConnection, id: string, facts: ServiceFacts): void {
  const serviceId = id.replaceAll(/[^A-Za-z0-9_-]/g, '_');
  for (const verb of VERBS) {
    const answer = new TextEncoder().encode(JSON.stringify(answerTo(verb, serviceId, facts)));
    for (const whom of ['', `.${facts.name}`, `.${facts.name}.${serviceId}`]) {
      connection.subscribe(`$SRV.${verb}${whom}`, {
        // An error: the user may not subscribe to $SRV, and the link's log says so.
        callback: (error, message) => {
          if (!error && message.reply) connection.publish(message.reply, answer);
        },
      });
    }
  }
}

function answerTo(verb: (typeof VERBS)[number], id: string, { name, version, description, startedAt, metadata }: ServiceFacts): object {
  const identity = { name, id, version, metadata };
  switch (verb) {
    case 'PING':
      return { ...identity, type: 'io.nats.micro.v1.ping_response' };
    case 'INFO':
      return { ...identity, type: 'io.nats.micro.v1.info_response', description, endpoints: [] };
    case 'STATS':
      return { ...identity, type: 'io.nats.micro.v1.stats_response', started: startedAt, endpoints: [] };
    default:
      return verb satisfies never;
  }
}
