/** What the supervisor hands the process that keeps the broker. */
export const BROKER_VARIABLE = 'TROUPE_BROKER';

export interface BrokerAssignment {
  readonly executable: string;
  readonly configFile: string;
  /** Of the nats-server that runs, so that one whose keeper was killed is ended before the next starts. */
  readonly pidFile: string;
}
