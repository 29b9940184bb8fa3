/** A process on the NATS transport: node --import tsx nats-peer-process.ts URL PEER_ID. Says `ready` to its parent. */
import { systemClock } from '../../src/system-clock.ts';
import { NatsTransport } from '../../src/transport/nats-transport.ts';

const [server = '', peerId = ''] = process.argv.slice(2);
const transport = await NatsTransport.open({ servers: [server], peerId, clock: systemClock, cluster: 'test' });
transport.subscribe(`echo.${peerId}`, (message) => message.respond(message.data));
await transport.request(`echo.${peerId}`, new Uint8Array(0), 10_000); // the broker knows the subscription
process.on('disconnect', () => process.exit());
process.send?.('ready');
